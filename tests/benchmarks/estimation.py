"""Estimation: the error of the corpus's mean loss against that of uniform samples of the same size.

Every method on every corpus, at 1, 2, 5 and 10% of the records with the default k, and on T0 with other k. The error
is the root mean square over SEEDS draws on each of CLUSTERINGS clusterings, divided by the error of simple random
samples, which is known exactly; its standard error is about 3%. Below 1 is better than uniform. Losses asked for: k
(the landmarks of low-rank, the centres of the others; auto: both), or none.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.benchmarks.common import Table
from tests.benchmarks.corpora import Case, cases, cluster_vectors, designed
from tithe.selection.clustering.clustered_corpus import ClusteredCorpus
from tithe.selection.options.options import Options
from tithe.selection.options.plan import make_plan

CLUSTERINGS, SEEDS = 3, 200

FRACTIONS = (0.01, 0.02, 0.05, 0.1)
OTHER_K = (75, 150, 600, 1200)

METHODS: dict[str, dict[str, Any]] = {
    "sensitivity": {"method": "sensitivity", "loss": "column:loss"},
    "sensitivity, no losses": {"method": "sensitivity"},
    "low-rank": {"method": "low-rank", "loss": "column:loss"},
    "auto": {"method": "auto", "loss": "column:loss"},
    "uniform over clusters": {"method": "uniform"},
    "Algorithm 1 as printed": {"method": "sensitivity", "loss": "column:loss", "sampler": "iid"},
}


def run() -> list[Table]:
    """A table for each encoder, with a row for each corpus and size, and one with a row for each k."""
    return estimation(CLUSTERINGS, SEEDS, FRACTIONS, OTHER_K, ("lexical", "minilm"))


def run_quick() -> list[Table]:
    """The same from fewer draws, at 2%, with lexical embeddings."""
    return estimation(1, 100, (0.02,), (), ("lexical",))


def estimation(
    clusterings: int, seeds: int, fractions: tuple[float, ...], other_k: tuple[int, ...], encoders: tuple[str, ...]
) -> list[Table]:
    """The tables."""
    tables: list[Table] = []
    clusters: Table = []
    for encoder in encoders:
        sizes: Table = []
        for case in cases(encoder):
            n = len(case.losses)
            for fraction in fractions:
                plan = make_plan(n, fraction=(fraction,))
                sizes.append(_row(case, encoder, plan.clusters, plan.size, clusterings, seeds))
            if case.name == "T0" and encoder == "lexical":
                clusters = [_row(case, encoder, k, round(0.02 * n), clusterings, seeds) for k in other_k]
        tables.append(sizes)
    return [table for table in (*tables, clusters) if table]


def _row(case: Case, encoder: str, k: int, size: int, clusterings: int, seeds: int) -> dict[str, object]:
    clustered_corpora = [cluster_vectors(case.vectors, k, size, seed=seed) for seed in range(clusterings)]
    share = size / len(case.losses)
    return {
        "corpus": case.name,
        "encoder": "vectors" if case.name.startswith("made") else encoder,
        "records": f"{size:,} ({share:.0%})",
        "k": k,
        **{name: _error(case, clustered_corpora, size, options, seeds) for name, options in METHODS.items()},
    }


def _error(
    case: Case, clustered_corpora: list[ClusteredCorpus], size: int, options: dict[str, Any], seeds: int
) -> float:
    losses, n = case.losses, len(case.losses)
    uniform = losses.std(ddof=1) * np.sqrt((1 - size / n) / size)
    squares = []
    for number, clustered in enumerate(clustered_corpora):
        chosen = Options(inputs=(), output=None, size=size, cluster_seed=number, **options)
        _, design = designed(chosen, clustered, lambda positions: losses[positions])
        for seed in range(seeds):
            sample = design.draw(np.random.default_rng([number, seed]))
            squares.append((float(sample.weights @ losses[sample.positions]) / n - losses.mean()) ** 2)
    return float(np.sqrt(np.mean(squares)) / uniform)
