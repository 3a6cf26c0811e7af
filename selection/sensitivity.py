"""Scores: how much the total loss could change with each record (Axiotis et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# Share of the score that all records have in common under pivotal sampling. Drawn in cluster order, a sample gets the
# level of the loss right in any case; what is left is how losses differ within a cluster, of which the scores of
# Algorithm 1 know little. Measured (tests/benchmarks/sampling.py): half and half errs less than either alone.
# Besides, it bounds every weight by twice the mean weight.
UNIFORM_SHARE = 0.5


@dataclass(frozen=True)
class Scores:
    """What the sample is drawn in proportion to."""

    values: Floats
    """Shape (n,), not negative; the unit is that of the loss."""
    smoothness: float
    """λ: how much loss may change over a unit of the spread."""
    uniform_share: float
    """The part of the score that all records have in common."""


def score(
    proxies: Floats,
    spreads: Floats,
    candidates: npt.NDArray[np.bool_],
    *,
    smoothness: float | None,
    uniform_share: float,
) -> Scores:
    """Score the records that could be drawn: (1 - u) (ℓ̂(e) + λ v(e)) + u m; the others get 0.

    m is the mean of ℓ̂ + λ v over the candidates. u = 0, with the loss of the cluster's centre as ℓ̂ and its distance
    to the power z as v, gives the scores of Algorithm 1 (Axiotis et al. 2024).

    Args:
        proxies: proxy loss ℓ̂ of each record, shape (n,).
        spreads: how far each record lies from what its proxy rests on, shape (n,).
        candidates: the records that could be drawn, shape (n,).
        smoothness: λ; None gives the loss and the spread half of the total score each, Σ_e ℓ̂(e) = λ Σ_e v(e):
            with one cluster the lightweight coreset of Bachem et al. (2018).
        uniform_share: u, from 0 to 1.
    """
    if smoothness is None:
        total = float(spreads[candidates].sum())
        smoothness = float(proxies[candidates].sum()) / total if total > 0 else 0.0
    values = spreads * smoothness
    values += proxies
    mean = float(values[candidates].mean())
    if mean == 0:  # no loss and no spread anywhere: all records are alike
        values.fill(1.0)
    else:
        values *= 1 - uniform_share
        values += uniform_share * mean
    values[~candidates] = 0.0
    return Scores(values, smoothness, uniform_share)


def distances_to_the_power(squared_distances: npt.NDArray[np.float32], z: int) -> Floats:
    """v(e) = distance^z from squared distances; a new array of the same shape."""
    distances = squared_distances.astype(np.float64)
    return np.sqrt(distances, out=distances) if z == 1 else distances
