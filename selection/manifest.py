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

from tithe.selection import blas
from tithe.selection.corpus import Corpus
from tithe.selection.designs.sampling import Sample
from tithe.selection.frame.frame import Frame
from tithe.selection.frame.groups import describe_groups
from tithe.selection.groundwork import Groundwork
from tithe.selection.methods.base import Judgement
from tithe.selection.options import Options
from tithe.selection.per_record import Derived, total
from tithe.selection.tokens import describe_counting
from tithe.selection.weight_shapes.registry import WEIGHT_SHAPES
from tithe.selection.weights import summarize

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

    ground: Groundwork
    frame: Frame
    judgement: Judgement
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
    ground, frame, clusters = outcome.ground, outcome.frame, outcome.ground.clusters
    return {
        "schema_version": SCHEMA_VERSION,
        "versions": versions(),
        "blas": blas.description(),
        "options": options.recorded(),
        "inputs": _inputs(corpus, digests),
        "rows": corpus.row_count(),
        "bad_records": {
            "policy": ground.bad.policy,
            "count": len(ground.bad),
            "first_places": ground.bad.places,
        },
        "text": None
        if ground.rule is None
        else {"rule": ground.rule.name, "fields": list(ground.rule.fields), "empty": ground.empty},
        "encoder": dict(ground.encoder),
        "n": len(clusters.labels),
        "d": int(clusters.centre_vectors.shape[1]),
        "k": clusters.k,
        "k_requested": ground.plan.clusters,
        "kmeans_cost": clusters.cost,
        "assignment": {"exact": True} if clusters.search is None else {"exact": False, **asdict(clusters.search)},
        "budget": outcome.budget,
        "epsilon": ground.plan.epsilon,
        "z": options.z,
        "lambda": outcome.judgement.scores.smoothness,
        "uniform_share": outcome.judgement.scores.uniform_share,
        "method": {
            "name": options.method,
            "by_chance": outcome.judgement.by_chance,
            **outcome.judgement.facts,
        },
        "loss": outcome.loss,
        "loss_queries": outcome.losses_asked,
        "excluded": frame.excluded,
        "never": frame.never,
        "always": len(frame.always),
        "duplicates": frame.duplicates,
        "groups": None
        if frame.groups is None
        else describe_groups(frame.groups, frame.candidates, frame.stands_for, outcome.sample),
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
    tokens = outcome.ground.tokens
    if tokens is None:
        return None
    held = tokens[outcome.sample.positions].astype(np.int64)
    return {
        "budget": options.tokens,
        "counted": describe_counting(options),
        "mean": total(tokens) / len(tokens),
        "records": total(Derived(np.multiply, tokens, outcome.frame.stands_for)),
        "longest": outcome.frame.longest,
        "too_long": outcome.frame.too_long,
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
