"""The estimate of T0's mean loss by one design or another: bias, and error relative to a uniform sample of equal size.

k = 300, 700 of 55,185 records, z = 2, λ auto, lexical embeddings, the centres' losses only; 5 clusterings, 1,000 seeds
each. The error is the root mean square over all draws; "relative" divides it by that of uniform samples drawn in
the same run. The bias is in standard errors. The standard error of a relative error is about 1%. "Shuffled" is the
same corpus in random order: T0 is sorted by task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from tests.benchmarks.common import Table
from tests.benchmarks.corpora import Case, cases, cluster_vectors
from tithe.selection.clustering.order import similarity_order
from tithe.selection.options.options import Options
from tithe.selection.population.candidates import Candidates
from tithe.selection.sampling.probabilities import Sample, draw_independent, draw_pivotal, inclusion_probabilities
from tithe.selection.scoring.scores import UNIFORM_SHARE, sensitivity_scores
from tithe.selection.scoring.sensitivity import Sensitivity

CLUSTERINGS, SEEDS = 5, 1000

Draw = Callable[[np.random.Generator], Sample]


def run() -> list[Table]:
    """One table: a row for each design."""
    t0 = next(case for case in cases())
    if t0.name != "T0":
        return []
    shuffled = np.random.default_rng(9).permutation(len(t0.losses))
    also = replace(t0, vectors=t0.vectors[shuffled], losses=t0.losses[shuffled])
    return [_compare(t0, dict(_designs(t0)), ""), _compare(also, dict(_orders(also)), ", shuffled")]


def _compare(case: Case, makers: dict[str, Callable[..., Draw]], note: str) -> Table:
    errors: dict[str, list[float]] = {name: [] for name in makers}
    n, loss = len(case.losses), case.losses
    for number in range(CLUSTERINGS):
        clustered = cluster_vectors(case.vectors, case.k, case.size, seed=number)
        for name, make in makers.items():
            draw = make(clustered)
            for seed in range(SEEDS):
                sample = draw(np.random.default_rng([number, seed]))
                errors[name].append(float(sample.weights @ loss[sample.positions]) / n - loss.mean())
    uniform = _root_mean_square(errors["uniform"])
    return [
        {
            "design": name + note,
            "bias, standard errors": float(np.mean(found) / (np.std(found) / np.sqrt(len(found)))),
            "error": _root_mean_square(found),
            "relative to uniform": _root_mean_square(found) / uniform,
        }
        for name, found in errors.items()
    ]


def _designs(case: Case) -> Iterator[tuple[str, Callable[..., Draw]]]:
    def pivotal(clustered: Any, *, share: float = UNIFORM_SHARE, losses: bool = True, sampler: Any = "pivotal") -> Draw:
        method = Sensitivity(Options(inputs=(), output=None, sampler=sampler), clustered)
        known = case.losses[method.probes] if losses else np.ones(clustered.clusters.k)
        everyone = Candidates.everyone(len(case.losses))
        found = method.score(known, everyone)
        smoothness = found.scores.smoothness if losses else None
        scores = sensitivity_scores(
            found.proxy.values, found.spreads, everyone, smoothness=smoothness, uniform_share=share
        ).values
        if sampler == "iid":
            return partial(draw_independent, scores, case.size)
        return partial(draw_pivotal, inclusion_probabilities(scores, case.size), clustered.order)

    yield from _orders(case)
    yield "iid: Algorithm 1 as printed", partial(pivotal, share=0.0, sampler="iid")
    yield "pivotal, the default", pivotal
    yield "pivotal, no uniform part", partial(pivotal, share=0.0)
    yield "pivotal, no losses", partial(pivotal, losses=False)


def _orders(case: Case) -> Iterator[tuple[str, Callable[..., Draw]]]:
    n = len(case.losses)
    equal = np.full(n, case.size / n)

    def along(order: Callable[[Any], np.ndarray]) -> Callable[..., Draw]:
        return lambda clustered: partial(draw_pivotal, equal, order(clustered))

    def in_input_order(clustered: Any) -> np.ndarray:
        rank = np.empty(clustered.clusters.k, np.int64)
        rank[similarity_order(clustered.clusters.centre_vectors)] = np.arange(clustered.clusters.k)
        return np.argsort(rank[clustered.clusters.labels], kind="stable")

    yield "uniform", along(lambda clustered: np.random.default_rng(0).permutation(n))
    yield "equal probabilities, by distance within clusters", along(lambda clustered: clustered.order)
    yield "equal probabilities, in input order within clusters", along(in_input_order)


def _root_mean_square(values: list[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
