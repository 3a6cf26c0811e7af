"""`--method`: how records are judged; a line for each, whose words follow one another in the help."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tithe.embedders.entries import Entry, Registry

if TYPE_CHECKING:
    from tithe.selection.clustering.clustered_corpus import ClusteredCorpus
    from tithe.selection.options.options import Options
    from tithe.selection.scoring.base import Method

METHODS: Registry[type[Method]] = Registry(
    Entry(
        "sensitivity", "tithe.selection.scoring.sensitivity:Sensitivity", "by their cluster's loss and their distance"
    ),
    Entry("low-rank", "tithe.selection.scoring.low_rank:LowRank", "by leading directions"),
    Entry("uniform", "tithe.selection.scoring.uniform:Uniform", "all alike"),
    Entry("k-center", "tithe.selection.scoring.k_center:KCenter", "the farthest from one another"),
    Entry("auto", "tithe.selection.scoring.auto:Auto", "the better of the first two"),
)

OF_A_REGRESSION = Entry("regression", "tithe.selection.scoring.regression:Regression")
"""The method of --task regression."""


def method_of(options: Options) -> type[Method]:
    """The method that the options name; a regression has its own."""
    return OF_A_REGRESSION.load() if options.task == "regression" else METHODS[options.method]


def make_method(options: Options, clustered: ClusteredCorpus) -> Method:
    """The same, for a corpus that is clustered."""
    return method_of(options)(options, clustered)
