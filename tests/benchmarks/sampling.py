"""The estimate of T0's mean loss: bias, and error relative to a uniform sample of the same size.

k = 300, 700 of 55,185 records, z = 2, λ auto, lexical embeddings, the centres' losses only; 5 clusterings, 1,000 seeds
each. The error is the root mean square over all draws; "relative" divides it by that of uniform samples drawn in
the same run. The bias is in standard errors. The standard error of a relative error is about 1%.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from tests.benchmarks.common import Table, data
from tests.benchmarks.lexical import _lexical, _t0
from tithe.selection import clustering
from tithe.selection.proxy import auto_lambda, smoothed
from tithe.selection.sampling import Sample, draw_independent, draw_pivotal, inclusion_probabilities
from tithe.selection.sensitivity import UNIFORM_SHARE, score

CLUSTERINGS, SEEDS, K, SIZE = 5, 1000, 300, 700


def run() -> list[Table]:
    """One table: a row for each design."""
    t0, losses = data("t0.parquet"), data("t0_loss.parquet")
    if t0 is None or losses is None:
        return []
    return [_compare(t0, pq.read_table(losses)["loss"].to_numpy())]


def _compare(t0: Path, loss: np.ndarray) -> Table:
    errors: dict[str, list[float]] = {}
    n, mean = len(loss), loss.mean()
    vectors, _, _ = _lexical(_t0(t0)[0], 0)
    for number in range(CLUSTERINGS):
        for name, draw in _designs(vectors, loss, number).items():
            for seed in range(SEEDS):
                sample = draw(np.random.default_rng([number, seed]))
                estimate = sample.weights @ loss[sample.positions] / n
                errors.setdefault(name, []).append(estimate - mean)
    uniform = _root_mean_square(errors["uniform"])
    return [
        {
            "design": name,
            "bias, standard errors": float(np.mean(found) / (np.std(found) / np.sqrt(len(found)))),
            "error": _root_mean_square(found),
            "relative to uniform": _root_mean_square(found) / uniform,
            "relative to iid": _root_mean_square(found) / _root_mean_square(errors["iid"]),
        }
        for name, found in errors.items()
    ]


def _designs(vectors: np.ndarray, loss: np.ndarray, seed: int) -> dict[str, Callable[[np.random.Generator], Sample]]:
    n = len(vectors)
    centroids = clustering.train(np.random.default_rng(seed).permutation(vectors), K, seed=seed)
    blocks = [vectors[at : at + clustering.BLOCK] for at in range(0, n, clustering.BLOCK)]
    clusters = clustering.cluster(lambda: blocks, centroids)
    order = clustering.sampling_order(clusters)

    def scores(losses: np.ndarray, share: float) -> np.ndarray:
        return score(
            clusters.labels,
            clusters.squared_distances,
            smoothed(clusters.centre_vectors, losses).values if share else losses,
            z=2,
            smoothness=auto_lambda(clusters.centre_vectors, losses, z=2),
            uniform_share=share,
        ).values

    of_centres, none = loss[clusters.centres], np.ones(clusters.k)
    printed = scores(of_centres, 0.0)
    designs: dict[str, Callable[[np.random.Generator], Sample]] = {
        "uniform": lambda rng: _uniform(n, rng),
        "iid": lambda rng: draw_independent(printed, SIZE, rng),
    }
    for name, values in {
        "pivotal": scores(of_centres, UNIFORM_SHARE),
        "pivotal, scores of Algorithm 1": printed,
        "pivotal, no losses": scores(none, UNIFORM_SHARE),
        "pivotal, no losses, scores of Algorithm 1": scores(none, 0.0),
        "pivotal, equal probabilities": np.ones(n),
    }.items():
        p = inclusion_probabilities(values, SIZE)
        designs[name] = partial(draw_pivotal, p, order)
    p = inclusion_probabilities(scores(of_centres, UNIFORM_SHARE), SIZE)
    rank = np.empty(clusters.k, np.int64)
    rank[clustering.similarity_order(clusters.centre_vectors)] = np.arange(clusters.k)
    by_distance = np.lexsort((clusters.squared_distances, rank[clusters.labels]))
    designs["pivotal, by distance within clusters"] = partial(draw_pivotal, p, by_distance)
    designs["pivotal, records in no order"] = partial(draw_pivotal, p, np.random.default_rng(seed).permutation(n))
    return designs


def _uniform(n: int, rng: np.random.Generator) -> Sample:
    chosen = np.sort(rng.choice(n, SIZE, replace=False))
    return Sample(chosen, np.full(SIZE, SIZE / n), np.full(SIZE, n / SIZE))


def _root_mean_square(values: list[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
