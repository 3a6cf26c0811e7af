"""Weights for training, and what weights are worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class WeightSummary:
    """The weights of a sample, in numbers."""

    count: int
    total: float
    """Σ w: estimates the number of records of the corpus."""
    smallest: float
    largest: float
    effective_sample_size: float
    """(Σ w)² / Σ w² (Kish 1965): how many equally weighted records would vary as little."""


def summarize(weights: npt.NDArray[np.float64]) -> WeightSummary:
    """Summarise weights of shape (s,), s >= 1."""
    total = float(weights.sum())
    return WeightSummary(
        count=len(weights),
        total=total,
        smallest=float(weights.min()),
        largest=float(weights.max()),
        effective_sample_size=total**2 / float((weights**2).sum()),
    )


def tempered(weights: npt.NDArray[np.float64], exponent: float) -> npt.NDArray[np.float64]:
    """w^T with the same sum: between equal weights (T = 0) and the unbiased ones (T = 1).

    Very unequal weights let few records rule the gradients; what tempering takes from the variance, it gives to
    the bias.
    """
    if exponent == 1:
        return weights
    powers = weights**exponent
    return powers * (weights.sum() / powers.sum())
