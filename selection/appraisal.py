"""The manifest's `evidence`: what the subset is worth, from whatever losses are known."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from tithe.selection import evidence
from tithe.selection.corpus import Corpus
from tithe.selection.design import Design
from tithe.selection.groundwork import Groundwork
from tithe.selection.methods.base import Judgement
from tithe.selection.sampling import Sample
from tithe.selection.validation import Validation
from tithe.selection.weights import summarize

Floats = npt.NDArray[np.float64]


def appraise(
    corpus: Corpus,
    ground: Groundwork,
    judgement: Judgement,
    design: Design,
    sample: Sample,
    rows: npt.NDArray[np.int64],
    candidates: npt.NDArray[np.bool_],
    *,
    size: int,
    informed: bool,
    subset_losses: Floats | None,
    validation: Validation | None,
) -> dict[str, Any]:
    """All the evidence, in JSON values.

    Args:
        corpus, ground, judgement, design, sample: the selection.
        rows: overall rows of the sample, shape (s,).
        candidates: the records that could be drawn, shape (n,): those the estimates are about.
        size: records, or draws, of the sample.
        informed: whether the losses say anything, or are all taken for equal.
        subset_losses: losses of the sample, shape (s,), where they were asked for.
        validation: losses of a simple random sample of all records, where they were asked for.
    """
    proxy = judgement.proxy
    if validation is not None:
        validation = validation.among(candidates)
        if len(validation.losses) < 2:
            validation = None
    weights = summarize(sample.weights)
    return {
        "estimate": _estimate(judgement, design, sample, candidates, informed, subset_losses, validation),
        "effective_sample_size": weights.effective_sample_size,
        "design_effect": weights.count / weights.effective_sample_size,
        "largest_weights": _largest(corpus, sample, rows),
        "coverage": evidence.coverage(ground.clusters, sample),
        "error": _error(judgement, design, candidates, size, informed, validation),
        "validation": None if validation is None else validation.describe(judgement.scores.smoothness),
        "lengths": _lengths(ground, sample),
        "losses": evidence.histogram(proxy.values, proxy.values[sample.positions], sample.weights, logarithmic=False)
        if informed and len(proxy.probes)
        else None,
    }


def _estimate(
    judgement: Judgement,
    design: Design,
    sample: Sample,
    candidates: npt.NDArray[np.bool_],
    informed: bool,
    subset_losses: Floats | None,
    validation: Validation | None,
) -> dict[str, Any] | None:
    if not informed:
        return None
    population, proxy = int(candidates.sum()), judgement.proxy
    if subset_losses is not None:
        return evidence.estimate_from_subset(design, sample, subset_losses, population=population)
    mean_proxy = float(proxy.values[candidates].mean())
    if validation is not None:
        return evidence.estimate_from_validation(validation, mean_proxy, population=population)
    return evidence.estimate_from_probes(proxy, mean_proxy) if len(proxy.probes) else None


def _error(
    judgement: Judgement,
    design: Design,
    candidates: npt.NDArray[np.bool_],
    size: int,
    informed: bool,
    validation: Validation | None,
) -> dict[str, Any] | None:
    population, proxy = int(candidates.sum()), judgement.proxy
    if size >= population or not informed or not judgement.by_chance:
        return None  # the subset is the corpus; or nothing is known of the losses; or there is no design
    if validation is not None:
        return evidence.forecast_from_validation(design, validation, size=size, population=population).describe()
    if len(proxy.probes) == 0:
        return None
    return evidence.forecast_from_probes(design, proxy, candidates, size=size).describe()


def _largest(corpus: Corpus, sample: Sample, rows: npt.NDArray[np.int64]) -> list[dict[str, Any]]:
    at = evidence.largest_weights(sample)
    files, rows_in_file = corpus.locate(rows[at])
    total = float(sample.weights.sum())
    return [
        {
            "row": int(rows[i]),
            "file": os.fsencode(corpus.files[file].path).decode("utf-8", "backslashreplace"),
            "row_in_file": int(row_in_file),
            "weight": float(sample.weights[i]),
            "share": float(sample.weights[i]) / total,
        }
        for i, file, row_in_file in zip(at.tolist(), files.tolist(), rows_in_file.tolist(), strict=True)
    ]


def _lengths(ground: Groundwork, sample: Sample) -> dict[str, Any] | None:
    if ground.lengths is None:
        return None
    lengths = ground.lengths.astype(np.float64)
    return {
        "unit": "characters",
        **evidence.histogram(lengths, lengths[sample.positions], sample.weights, logarithmic=True),
    }
