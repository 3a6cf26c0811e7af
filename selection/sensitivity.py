"""Proxy losses, λ and scores: how much the total loss could change with each record (Axiotis et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tithe.selection.blas import load_faiss

Floats = npt.NDArray[np.float64]

# No record scores less than this share of the mean. Without a floor, a record beside a centre of loss 0 could
# never be drawn, and the estimate would be blind to it; with it, no weight passes 100 times the mean weight.
FLOOR = 0.01


@dataclass(frozen=True)
class Scores:
    """What the sample is drawn in proportion to."""

    values: Floats
    """Shape (n,), positive; the unit is that of the loss."""
    smoothness: float
    """λ: how much loss may change over a unit of distance^z."""


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
        faiss = load_faiss()
        index = faiss.IndexFlatL2(centres.shape[1])
        index.add(centres)
        _, found = index.search(centres, 2)
        own = np.arange(len(centres))
        neighbour = np.where(found[:, 0] == own, found[:, 1], found[:, 0])
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
) -> Scores:
    """Score every record: ℓ̂(e) + λ v(e), with ℓ̂(e) = ℓ(c) and v(e) = ‖E(e) - E(c)‖^z for its centre c.

    Args:
        clusters: cluster of each record, shape (n,).
        squared_distances: squared distance of each record to its centre, shape (n,).
        centres: embeddings of the centre records, shape (k, d).
        losses: losses of the centre records, shape (k,).
        z: the power of the distance, 1 or 2.
        smoothness: λ, or None to take `auto_lambda`.
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
    mean = distances.mean()
    if mean > 0:
        np.maximum(distances, FLOOR * mean, out=distances)
    else:
        distances.fill(1.0)
    return Scores(distances, smoothness)
