"""How often the 95% interval of `--score-subset` or `--validate` holds the truth: 1,000 seeds for each kind of losses, size and option.

20,000 made records in 80 clusters, and T0 with the losses of SmolLM2-135M-Instruct. `given` is how often there was an
interval at all; `holds` is of those, its standard error at most 1%; the width is the median, in units of the mean loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from tests.benchmarks.common import Table, data
from tests.benchmarks.corpora import cluster_vectors, embed_lexical, t0_texts
from tithe.selection.choose import draw
from tithe.selection.clustering.clustered_corpus import ClusteredCorpus
from tithe.selection.evidence.estimate import estimate_from_subset, estimate_from_validation
from tithe.selection.evidence.validation import Validation
from tithe.selection.options.options import Options
from tithe.selection.population.candidates import Candidates
from tithe.selection.population.groups import Groups
from tithe.selection.population.population import Population
from tithe.selection.scoring.base import Scoring
from tithe.selection.scoring.registry import make_method

SIZES, SEEDS = (50, 200, 700), 1000

Kind = Callable[[np.random.Generator, np.ndarray], np.ndarray]

# From random numbers and the cluster of each record, of 80, to the losses.
KINDS: dict[str, Kind] = {
    "normal": lambda rng, of: np.abs(3 + rng.random(80)[of] + 0.7 * rng.standard_normal(len(of))),
    "lognormal, σ = 1": lambda rng, of: rng.lognormal(rng.random(80)[of], 1.0),
    "lognormal, σ = 1.5": lambda rng, of: (0.5 + rng.random(80))[of] * rng.lognormal(0, 1.5, len(of)),
    "Pareto, α = 2.5": lambda rng, of: (0.5 + rng.random(80))[of] * (1 + rng.pareto(2.5, len(of))),
    # By its quantiles: chance may give one record a share of the total that no sample could know of.
    "Pareto, α = 1.5": lambda rng, of: ((rng.permutation(len(of)) + 0.5) / len(of)) ** (-1 / 1.5) - 1,
    "97.5% are 0": lambda rng, of: np.where(rng.random(len(of)) < 0.025, rng.exponential(1, len(of)), 0.0),
    "90% are 0": lambda rng, of: np.where(rng.random(len(of)) < 0.1, rng.exponential(1, len(of)), 0.0),
    "0 but in 3 clusters": lambda rng, of: np.where(np.isin(of, (7, 30, 55)), 1 + rng.random(len(of)), 0.0),
    "0 but in 12 clusters": lambda rng, of: np.where(of % 7 == 3, rng.exponential(1, len(of)), 0.0),
}

OPTIONS = ("plain", "iid", "groups", "tokens", "excluded", "validated")


@dataclass(frozen=True)
class Corpus:
    """Records with their clustered corpus, losses, groups and tokens."""

    clustered: ClusteredCorpus
    losses: np.ndarray
    groups: Groups
    tokens: np.ndarray


@dataclass(frozen=True)
class Coverage:
    """What became of the intervals."""

    given: float
    """Share of the seeds with an interval."""
    holds: float
    """Share of these that hold the truth; NaN where there are none."""
    width: float
    """Median, in units of the mean loss."""


def run(seeds: int = SEEDS) -> list[Table]:
    """One table: a row for each kind of losses, option and size."""
    rows: Table = []
    for name, corpus in corpora():
        for option in OPTIONS:
            for size in SIZES:
                found = coverage(corpus, size, option, seeds)
                rows.append(
                    {
                        "losses": name,
                        "option": option,
                        "records": size,
                        "given": f"{found.given:.1%}",
                        "holds": f"{found.holds:.1%}" if found.given else "",
                        "width": found.width,
                    }
                )
    return [rows]


def run_quick() -> list[Table]:
    """The same from fewer seeds."""
    return run(50)


def corpora() -> Iterator[tuple[str, Corpus]]:
    """The made ones, and T0 where TITHE_DATA is set."""
    yield from ((name, made(name, clustered, of)) for clustered, of in [made_clustered(20_000, 141)] for name in KINDS)
    t0, known = data("t0.parquet"), data("t0_smollm2_loss.parquet")
    if t0 is not None and known is not None:
        texts = t0_texts(t0)
        tasks = pq.read_table(t0, columns=["task"])["task"].to_numpy()
        codes = np.unique(tasks, return_inverse=True)[1] % 3
        tokens = np.array([max(1, len(text) // 4) for text in texts], np.uint32)
        losses = pq.read_table(known)["loss"].to_numpy().astype(np.float64)
        yield (
            "T0, a real model",
            Corpus(cluster_vectors(embed_lexical(texts, 0)[0], 234, 0), losses, _groups(codes), tokens),
        )


def made_clustered(records: int, k: int) -> tuple[ClusteredCorpus, np.ndarray]:
    """Vectors in 80 clusters of unequal size, clustered; and the cluster of each record."""
    rng = np.random.default_rng(3)
    sizes = 1 / np.arange(1, 81) ** 0.7
    of = rng.choice(80, records, p=sizes / sizes.sum())
    vectors = rng.standard_normal((80, 32))[of] + 0.5 * rng.standard_normal((records, 32))
    return cluster_vectors((vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), k, 0), of


def made(kind: str, clustered: ClusteredCorpus, of: np.ndarray) -> Corpus:
    """Losses of a kind on the made vectors."""
    rng = np.random.default_rng(4)
    tokens = np.ceil(rng.lognormal(4, 0.8, len(of))).astype(np.uint32)
    return Corpus(clustered, KINDS[kind](rng, of), _groups(rng.choice(3, len(of), p=[0.7, 0.2, 0.1])), tokens)


def coverage(corpus: Corpus, size: int, option: str, seeds: int) -> Coverage:
    """Draw with each seed, and see whether the interval holds the mean loss."""
    n, losses = len(corpus.losses), corpus.losses
    asked: dict[str, dict[str, Any]] = {
        "iid": {"sampler": "iid"},
        "groups": {"group_by": "g", "group_min": size // 10},
        "tokens": {"tokens": int(size * corpus.tokens.mean())},
    }
    options = Options(inputs=(), output=None, loss="column:loss", **asked.get(option, {}))
    population = Population(Candidates.everyone(n))
    if option == "groups":
        population = replace(population, groups=replace(corpus.groups, wanted=options.wanted_groups))
    if option == "tokens":
        population = replace(population, tokens=corpus.tokens, token_budget=options.tokens)
    truth = losses.mean()
    if option == "excluded":
        taken = np.sort(np.random.default_rng(8).choice(n, n // 4, replace=False))
        population = replace(population, candidates=Candidates.without(n, taken))
        truth = np.delete(losses, taken).mean()
    clustered = replace(corpus.clustered, plan=replace(corpus.clustered.plan, size=size))
    method = make_method(options, clustered)
    scoring = method.score(losses[method.probes], population.candidates)
    held, widths = [], []
    for seed in range(seeds):
        if option == "validated":
            found = _from_validation(scoring, losses, size, seed)
        else:
            ((design, sample),) = draw(replace(options, seed=seed), clustered, population, scoring)
            found = estimate_from_subset(
                design, sample, losses[sample.positions], population_size=population.candidates.count
            )
        if found["low"] is not None:
            held.append(found["low"] <= truth <= found["high"])
            widths.append((found["high"] - found["low"]) / truth)
    return Coverage(len(held) / seeds, float(np.mean(held or np.nan)), float(np.median(widths or np.nan)))


def _from_validation(scoring: Scoring, losses: np.ndarray, count: int, seed: int) -> dict[str, Any]:
    """The estimate of `--validate` instead."""
    n, proxies = len(losses), scoring.proxy.values[np.arange(len(losses))]
    at = np.sort(np.random.default_rng([2, seed]).choice(n, count, replace=False))
    validation = Validation(at, losses[at], proxies[at], scoring.spreads[at])
    return estimate_from_validation(validation, float(proxies.mean()), population_size=n)


def _groups(codes: np.ndarray) -> Groups:
    return Groups("g", codes.astype(np.uint16), ("a", "b", "c"))
