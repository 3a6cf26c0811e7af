"""Training: a small causal transformer on subsets of T0, and its loss on records that no selection saw.

2, 5 and 10% of T0; equal steps for all methods, six epochs at every size, the last step reported; 3,000 records held
out before anything else. Differences to a uniform sample of the same size are paired: initial weights are equal for a
seed. The losses of the centres are by a model trained on a uniform sample of 20% of the budget, as in the paper.
Negative is better; ± is one standard error over the seeds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from tests.benchmarks.common import Table, data
from tests.benchmarks.corpora import cluster_vectors, designed, t0_texts
from tests.benchmarks.lexical import embed_lexical
from tithe.selection.clustering.clustered_corpus import ClusteredCorpus
from tithe.selection.options.options import Options

SHARES, EPOCHS, HELD_OUT = (0.02, 0.05, 0.1), 6, 3000
SEEDS, SEEDS_OF_OTHERS = 10, 3

UNIFORM = "uniform"
METHODS: dict[str, tuple[dict[str, Any], bool]] = {
    # Options of `tithe select`, and whether the training is weighted.
    UNIFORM: ({"method": "uniform", "sampler": "simple"}, False),
    "uniform over clusters": ({"method": "uniform"}, False),
    "sensitivity, weighted": ({"loss": "column:loss"}, True),
    "sensitivity, weights left out": ({"loss": "column:loss"}, False),
    "Algorithm 1 as printed, weighted": ({"loss": "column:loss", "sampler": "iid"}, True),
    "k-center": ({"method": "k-center"}, False),
}
_COMPARED_WELL = (UNIFORM, "uniform over clusters")


def run() -> list[Table]:
    """One table: a row for each size and method."""
    if data("t0.parquet") is None:
        return []
    jobs = [
        (share, seed, name)
        for share in SHARES
        for name in METHODS
        for seed in range(SEEDS if name in _COMPARED_WELL else SEEDS_OF_OTHERS)
    ]
    workers = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        losses = dict(zip(jobs, pool.map(_validated_loss, jobs), strict=True))
    return [list(_rows(losses))]


def _rows(losses: dict[tuple[float, int, str], float]) -> Iterator[dict[str, object]]:
    for share in SHARES:
        for name in METHODS:
            seeds = [seed for size, seed, method in losses if (size, method) == (share, name)]
            found = np.array([losses[share, seed, name] for seed in seeds])
            difference = found - [losses[share, seed, UNIFORM] for seed in seeds]
            error = float(difference.std(ddof=1) / np.sqrt(len(seeds)))
            yield {
                "size": f"{share:.0%}",
                "method": name,
                "loss on held-out records": f"{found.mean():.3f}",
                "difference to uniform": "" if name == UNIFORM else f"{difference.mean():+.3f} ± {error:.3f}",
                "in standard errors": "" if name == UNIFORM else f"{difference.mean() / error:+.1f}",
                "seeds": len(seeds),
            }


def _validated_loss(job: tuple[float, int, str]) -> float:
    """In a process of its own: choose, train, validate."""
    import torch

    from tests.benchmarks import small_transformer as transformer

    torch.set_num_threads(1)
    share, seed, name = job
    tokens, _, corpus, held = _prepared()
    size = round(share * len(corpus))
    chosen, weighted = METHODS[name]
    options = Options(inputs=(), output=None, size=size, seed=seed, **chosen)
    clustered = _ground(options.plan(len(corpus)).clusters, size)

    def losses(positions: np.ndarray) -> np.ndarray:
        first = np.random.default_rng([size, seed, 1]).choice(corpus, size // 5, replace=False)
        pilot = transformer.train(tokens, first, None, EPOCHS * len(first) // transformer.BATCH, seed)
        return transformer.losses(pilot, tokens, corpus[positions]).astype(np.float64)

    _, design = designed(options, clustered, losses)
    sample = design.draw(np.random.default_rng([size, seed]))
    weights = sample.weights if weighted else None
    steps = EPOCHS * size // transformer.BATCH
    model = transformer.train(tokens, corpus[sample.positions], weights, steps, seed)
    return float(transformer.losses(model, tokens, held).mean())


@cache
def _ground(k: int, size: int) -> ClusteredCorpus:
    return cluster_vectors(_prepared()[1], k, size)


@cache
def _prepared() -> tuple[Any, np.ndarray, np.ndarray, np.ndarray]:
    """Tokens of all records, embeddings of the corpus, its rows and those held out."""
    from tests.benchmarks import small_transformer as transformer

    t0 = data("t0.parquet")
    assert t0 is not None
    table = pq.read_table(t0)
    rows = np.random.default_rng(12345).permutation(table.num_rows)
    held, corpus = rows[:HELD_OUT], np.sort(rows[HELD_OUT:])
    tokens = transformer.tokenise(table["prompt"].to_pylist(), table["completion"].to_pylist(), corpus)
    texts = t0_texts(t0)
    vectors, _, _ = embed_lexical([texts[i] for i in corpus], 0)
    return tokens, vectors, corpus, held
