"""`--method`: how records are judged; a line for each, whose words follow one another in the help."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tithe.embedders.entries import Entry, Registry

if TYPE_CHECKING:
    from tithe.selection.groundwork import Groundwork
    from tithe.selection.methods.base import Method
    from tithe.selection.options import Options

METHODS: Registry[type[Method]] = Registry(
    Entry(
        "sensitivity", "tithe.selection.methods.sensitivity:Sensitivity", "by their cluster's loss and their distance"
    ),
    Entry("low-rank", "tithe.selection.methods.low_rank:LowRank", "by leading directions"),
    Entry("uniform", "tithe.selection.methods.uniform:Uniform", "all alike"),
    Entry("k-center", "tithe.selection.methods.k_center:KCenter", "the farthest from one another"),
    Entry("auto", "tithe.selection.methods.auto:Auto", "the better of the first two"),
)

OF_A_REGRESSION = Entry("regression", "tithe.selection.methods.regression:Regression")
"""The method of --task regression."""


def method_of(options: Options) -> type[Method]:
    """The method that the options name; a regression has its own."""
    return OF_A_REGRESSION.load() if options.task == "regression" else METHODS[options.method]


def make_method(options: Options, ground: Groundwork) -> Method:
    """The same, for a corpus that is clustered."""
    return method_of(options)(options, ground)
