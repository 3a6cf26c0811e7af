"""What was done, so that it can be checked and done again."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import numpy.typing as npt

from tithe.selection.clustering.clustered_corpus import ClusteredCorpus
from tithe.selection.corpus.corpus import Corpus
from tithe.selection.corpus.tokens import describe_counting
from tithe.selection.engine import blas
from tithe.selection.engine.quantities import Derived, Quantity, total
from tithe.selection.options.options import Options
from tithe.selection.population.candidates import Candidates
from tithe.selection.population.groups import Groups
from tithe.selection.population.population import Population
from tithe.selection.sampling.probabilities import Sample
from tithe.selection.sampling.weights import summarize
from tithe.selection.scoring.base import Scoring
from tithe.selection.subset.weight_shapes.registry import WEIGHT_SHAPES

SCHEMA_VERSION = 2

_LIBRARIES = (
    "numpy",
    "faiss-cpu",
    "pyarrow",
    "scikit-learn",
    "scipy",
    "sentence-transformers",
    "transformers",
    "torch",
)


@dataclass(frozen=True)
class Outcome:
    """All that the method found out about a corpus."""

    clustered: ClusteredCorpus
    population: Population
    scoring: Scoring
    sample: Sample
    weights: npt.NDArray[np.float64]
    """Those in the subset, or behind its copies: the sample's, tempered and scaled."""
    repeats: npt.NDArray[np.int64] | None
    """How often each selected record comes in the subset; None: once."""
    rows: npt.NDArray[np.int64]
    """Overall row of each selected record, ascending."""
    loss: dict[str, Any]
    """Where the losses of the centres are from."""
    losses_asked: int
    evidence: dict[str, Any]
    budget: int
    """Records that were to be drawn; draws, where these are independent."""

    @property
    def lines(self) -> int:
        """Number of lines, or rows, of the subset."""
        return len(self.rows) if self.repeats is None else int(self.repeats.sum())


def describe(
    options: Options,
    corpus: Corpus,
    outcome: Outcome,
    digests: Sequence[str],
) -> dict[str, Any]:
    """The manifest of a selection, without what differs from run to run."""
    clustered, population, clusters = outcome.clustered, outcome.population, outcome.clustered.clusters
    return {
        "schema_version": SCHEMA_VERSION,
        "versions": versions(),
        "blas": blas.description(),
        "options": options.recorded(),
        "inputs": _inputs(corpus, digests),
        "rows": corpus.row_count(),
        "bad_records": {
            "policy": clustered.bad.policy,
            "count": len(clustered.bad),
            "first_places": clustered.bad.places,
        },
        "text": None
        if clustered.rule is None
        else {"rule": clustered.rule.name, "fields": list(clustered.rule.fields), "empty": clustered.empty},
        "encoder": dict(clustered.encoder),
        "n": len(clusters.labels),
        "d": int(clusters.centre_vectors.shape[1]),
        "k": clusters.k,
        "k_requested": clustered.plan.clusters,
        "kmeans_cost": clusters.cost,
        "assignment": {"exact": True} if clusters.search is None else {"exact": False, **asdict(clusters.search)},
        "budget": outcome.budget,
        "epsilon": clustered.plan.epsilon,
        "z": options.z,
        "lambda": outcome.scoring.scores.smoothness,
        "uniform_share": outcome.scoring.scores.uniform_share,
        "method": {
            "name": options.method,
            "by_chance": outcome.scoring.by_chance,
            **outcome.scoring.facts,
        },
        "loss": outcome.loss,
        "loss_queries": outcome.losses_asked,
        "excluded": population.excluded,
        "never": population.never,
        "always": len(population.always),
        "duplicates": population.duplicates,
        "groups": None
        if population.groups is None
        else describe_groups(population.groups, population.candidates, population.stands_for, outcome.sample),
        "tokens": _tokens(options, outcome),
        "weights": asdict(summarize(outcome.weights)),
        "subset": _shape(options, outcome),
        "evidence": outcome.evidence,
    }


def _inputs(corpus: Corpus, digests: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {
            "path": str(file.path),
            "format": file.format,
            "compression": file.compression,
            "size": file.size,
            "rows": rows,
            "sha256": digest,
        }
        for file, rows, digest in zip(corpus.files, corpus.file_rows(), digests, strict=True)
    ]


def _tokens(options: Options, outcome: Outcome) -> dict[str, Any] | None:
    """Of a budget of tokens: how many there are."""
    tokens = outcome.clustered.tokens
    if tokens is None:
        return None
    held = tokens[outcome.sample.positions].astype(np.int64)
    return {
        "budget": options.tokens,
        "counted": describe_counting(options),
        "mean": total(tokens) / len(tokens),
        "records": total(Derived(np.multiply, tokens, outcome.population.stands_for)),
        "longest": outcome.population.longest,
        "too_long": outcome.population.too_long,
        "selected": int(held.sum()),
        "lines": int(held.sum() if outcome.repeats is None else held @ outcome.repeats),
    }


def _shape(options: Options, outcome: Outcome) -> dict[str, Any]:
    """How the subset holds the weights, and what its lines are worth to a trainer that reads them so."""
    repeats = outcome.repeats
    held = np.ones(len(outcome.rows)) if repeats is None else repeats[repeats > 0].astype(np.float64)
    weighted = options.scale is not None
    return {
        "weights_as": options.shape,
        "weight_scale": options.scale,
        "weight_column": WEIGHT_SHAPES[options.shape]().column(options.weight_column),
        "lines": outcome.lines,
        "records": len(held),
        "most_copies": int(held.max()),
        "effective_sample_size": summarize(outcome.weights if weighted else held).effective_sample_size,
    }


def versions() -> dict[str, str]:
    """Versions of tithe, Python and the libraries on which the selection depends, where installed."""
    found = {"tithe": version("tithe"), "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def to_json(manifest: dict[str, Any]) -> str:
    """The manifest as it is written: indented, in the order of the run, without NaN."""
    return json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def describe_groups(groups: Groups, candidates: Candidates, stands_for: Quantity, sample: Sample) -> dict[str, Any]:
    """For the manifest. `stands_for`: how many records each candidate stands for, 0 for those that are none."""
    available, represented = groups.sizes(candidates), groups.sizes(stands_for)
    drawn = groups.codes[sample.positions]
    selected = np.bincount(drawn, minlength=len(available))
    weight = np.bincount(drawn, sample.weights, minlength=len(available))
    return {
        "field": groups.field,
        "values": [
            {
                "value": groups.values[g],
                "records": int(represented[g]),
                "available": int(available[g]),
                "selected": int(selected[g]),
                "weight": float(weight[g]),
            }
            for g in range(len(available))
            if available[g]
        ],
    }
