"""Proxy losses, λ and scores: how much the total loss could change with each record (Axiotis et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tithe.selection.clustering import nearest_other

Floats = npt.NDArray[np.float64]

# Share of the score that all records have in common under pivotal sampling. Drawn in cluster order, a sample gets the
# level of the loss right in any case; what is left is how losses differ within a cluster, of which the scores of
# Algorithm 1 know little. Measured on T0 (tests/benchmarks/sampling.py): half and half errs less than either alone.
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


def auto_lambda(
    centres: npt.NDArray[np.float32], losses: Floats, *, z: int, proxy_total: float, spread_total: float
) -> float:
    """λ from the centres alone: the mean loss difference of neighbouring centres over their mean distance^z.

    λ = Σ_i |ℓ(c_i) - ℓ(c_j)| / Σ_i ‖c_i - c_j‖^z, where c_j is the centre nearest to c_i. The ratio of sums lets
    far neighbours, whose differences say more, count for more than pairs that nearly coincide.
    Where there is nothing to compare (one centre, all losses equal, all centres in one place) λ gives the loss
    and the distance half of the total score each: Σ_e ℓ̂(e) = λ Σ_e v(e), the lightweight coreset of
    Bachem et al. (2018). 0 where the spread is 0.

    Args:
        centres: embeddings of the centre records, shape (k, d).
        losses: their losses, shape (k,).
        z: the power of the distance, 1 or 2.
        proxy_total: Σ ℓ̂(e) over all records.
        spread_total: Σ v(e) over all records.
    """
    if len(centres) > 1:
        neighbour = nearest_other(centres)
        gaps = ((centres - centres[neighbour]).astype(np.float64) ** 2).sum(axis=1) ** (z / 2)
        differences = np.abs(losses - losses[neighbour])
        if gaps.sum() > 0 and differences.sum() > 0:
            return float(differences.sum() / gaps.sum())
    return proxy_total / spread_total if spread_total > 0 else 0.0


def score(
    clusters: npt.NDArray[np.int32],
    squared_distances: npt.NDArray[np.float32],
    centres: npt.NDArray[np.float32],
    losses: Floats,
    *,
    z: int,
    smoothness: float | None,
    uniform_share: float,
) -> Scores:
    """Score every record: (1 - u) (ℓ̂(e) + λ v(e)) + u m, with ℓ̂(e) = ℓ(c), v(e) = ‖E(e) - E(c)‖^z for its centre c.

    m is the mean of ℓ̂ + λ v over all records. u = 0 gives the scores of Algorithm 1 (Axiotis et al. 2024).

    Args:
        clusters: cluster of each record, shape (n,).
        squared_distances: squared distance of each record to its centre, shape (n,).
        centres: embeddings of the centre records, shape (k, d).
        losses: losses of the centre records, shape (k,).
        z: the power of the distance, 1 or 2.
        smoothness: λ, or None to take `auto_lambda`.
        uniform_share: u, from 0 to 1.
    """
    proxy = losses[clusters]
    distances = squared_distances.astype(np.float64)
    if z == 1:
        np.sqrt(distances, out=distances)
    if smoothness is None:
        smoothness = auto_lambda(
            centres, losses, z=z, proxy_total=float(proxy.sum()), spread_total=float(distances.sum())
        )
    distances *= smoothness
    distances += proxy
    mean = float(distances.mean())
    if mean == 0:  # no loss and no distance anywhere: all records are alike
        return Scores(np.ones(len(distances)), smoothness, uniform_share)
    distances *= 1 - uniform_share
    distances += uniform_share * mean
    return Scores(distances, smoothness, uniform_share)
