"""The manifest's key `evidence`, read back into types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """The mean loss of the corpus, estimated. Its interval is None where none would be honest."""

    mean_loss: float
    low: float | None
    high: float | None
    standard_error: float | None
    confidence: float
    source: str
    """subset, validation or centres."""
    no_interval: str | None
    """Why there is none."""


@dataclass(frozen=True)
class HeavyRecord:
    """One of the records with the largest weights."""

    row: int
    file: str
    row_in_file: int
    weight: float
    share: float
    """Of the sum of all weights."""


@dataclass(frozen=True)
class Coverage:
    """How much of the corpus lies in clusters with a selected record."""

    clusters: int
    clusters_with_a_record: int
    mass: float
    """Share of the records."""
    distance: float
    """Share of the summed distances to the centres."""


@dataclass(frozen=True)
class ExpectedError:
    """Standard errors of the mean loss, of this design and of a uniform sample of the same size."""

    relative_to_uniform: float | None
    design: float | None
    uniform: float | None
    source: str
    sentence: str


@dataclass(frozen=True)
class Validation:
    """What losses of records besides the centres said about the proxy losses."""

    records: int
    correlation: float | None
    holder: dict[str, float]
    """Hölder constants by quantile."""
    beyond_lambda: float | None
    points: Numbers
    """Shape (p, 2): proxy loss and loss."""


@dataclass(frozen=True)
class Histogram:
    """Counts of the corpus and weighted counts of the subset over the same bins."""

    edges: Numbers
    """Shape (m + 1,), ascending."""
    corpus: Numbers
    subset: Numbers


@dataclass(frozen=True)
class Evidence:
    """All that a manifest says about what its subset is worth."""

    estimate: Estimate | None
    effective_sample_size: float
    design_effect: float
    largest_weights: tuple[HeavyRecord, ...]
    coverage: Coverage
    error: ExpectedError
    validation: Validation | None
    lengths: Histogram | None
    length_unit: str
    losses: Histogram | None


def parse_evidence(given: Mapping[str, Any]) -> Evidence:
    """Read the value of the key."""
    coverage, error = given["coverage"], given["error"]
    lengths = given["lengths"]
    return Evidence(
        estimate=_estimate(given["estimate"]),
        effective_sample_size=float(given["effective_sample_size"]),
        design_effect=float(given["design_effect"]),
        largest_weights=tuple(
            HeavyRecord(
                int(heavy["row"]),
                str(heavy["file"]),
                int(heavy["row_in_file"]),
                float(heavy["weight"]),
                float(heavy["share"]),
            )
            for heavy in given["largest_weights"]
        ),
        coverage=Coverage(
            int(coverage["clusters"]),
            int(coverage["clusters_with_a_record"]),
            float(coverage["mass"]),
            float(coverage["distance"]),
        ),
        error=_error(error),
        validation=_validation(given["validation"]),
        lengths=_histogram(lengths),
        length_unit=str(lengths["unit"]) if lengths else "",
        losses=_histogram(given["losses"]),
    )


def _error(given: Mapping[str, Any] | None) -> ExpectedError:
    if given is None:
        return ExpectedError(None, None, None, "none", "")
    return ExpectedError(
        _maybe(given["relative_to_uniform"]),
        _maybe(given["design"]),
        _maybe(given["uniform"]),
        str(given["from"]),
        str(given["sentence"]),
    )


def _estimate(given: Mapping[str, Any] | None) -> Estimate | None:
    if given is None:
        return None
    return Estimate(
        float(given["mean_loss"]),
        _maybe(given["low"]),
        _maybe(given["high"]),
        _maybe(given["standard_error"]),
        float(given["confidence"]),
        str(given["from"]),
        given["no_interval"],
    )


def _validation(given: Mapping[str, Any] | None) -> Validation | None:
    if given is None:
        return None
    return Validation(
        int(given["records"]),
        _maybe(given["correlation"]),
        {str(quantile): float(value) for quantile, value in given["holder"].items() if value is not None},
        _maybe(given["beyond_lambda"]),
        np.array(given["points"], float).reshape(-1, 2),
    )


def _histogram(given: Mapping[str, Any] | None) -> Histogram | None:
    if given is None:
        return None
    edges, corpus, subset = (np.array(given[key], float) for key in ("edges", "corpus", "subset"))
    return Histogram(edges, corpus, subset)


def _maybe(value: Any) -> float | None:
    return None if value is None else float(value)
