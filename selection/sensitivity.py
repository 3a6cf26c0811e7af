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
    """λ: how much loss may change over a unit of distance^z."""
    uniform_share: float
    """The part of the score that all records have in common."""


def score(
    clusters: npt.NDArray[np.int32],
    squared_distances: npt.NDArray[np.float32],
    proxies: Floats,
    *,
    z: int,
    smoothness: float | None,
    uniform_share: float,
) -> Scores:
    """Score every record: (1 - u) (ℓ̂(e) + λ v(e)) + u m, with v(e) = ‖E(e) - E(c)‖^z for its cluster's centre c.

    m is the mean of ℓ̂ + λ v over all records. u = 0, with the loss of the centre as ℓ̂, gives the scores of
    Algorithm 1 (Axiotis et al. 2024).

    Args:
        clusters: cluster of each record, shape (n,).
        squared_distances: squared distance of each record to its centre, shape (n,).
        proxies: proxy loss ℓ̂ of the records of each cluster, shape (k,).
        z: the power of the distance, 1 or 2.
        smoothness: λ; None gives the loss and the distance half of the total score each, Σ_e ℓ̂(e) = λ Σ_e v(e):
            with one cluster the lightweight coreset of Bachem et al. (2018).
        uniform_share: u, from 0 to 1.
    """
    proxy = proxies[clusters]
    distances = spread(squared_distances, z)
    if smoothness is None:
        total = float(distances.sum())
        smoothness = float(proxy.sum()) / total if total > 0 else 0.0
    distances *= smoothness
    distances += proxy
    mean = float(distances.mean())
    if mean == 0:  # no loss and no distance anywhere: all records are alike
        return Scores(np.ones(len(distances)), smoothness, uniform_share)
    distances *= 1 - uniform_share
    distances += uniform_share * mean
    return Scores(distances, smoothness, uniform_share)


def spread(squared_distances: npt.NDArray[np.float32], z: int) -> Floats:
    """v(e) = distance^z from squared distances; a new array of the same shape."""
    distances = squared_distances.astype(np.float64)
    return np.sqrt(distances, out=distances) if z == 1 else distances
