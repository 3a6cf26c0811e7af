"""Proxy losses: what the k losses of the centres say about the records around them.

The loss of one centre is a noisy proxy for its cluster. Neighbouring centres tell how noisy: where their losses agree,
each can borrow from the others; where they have nothing to do with one another, all that is left is the mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tithe.selection.arrays import Floats, Positions
from tithe.selection.clustering.nearest import neighbours
from tithe.selection.engine.quantities import Constant, Quantity

# Neighbours that a centre may borrow from.
_NEIGHBOURS = 16

# Bandwidths tried, in units of the median squared distance between neighbouring centres.
_BANDWIDTHS = np.geomspace(1 / 16, 64, 21)

# Tukey's far-out fence: this many interquartile ranges above the upper quartile, on the scale of log losses.
_FENCE = 3.0


@dataclass(frozen=True)
class Proxy:
    """What the losses that were asked for say about every record."""

    probes: Positions
    """The records that were asked about, shape (m,); none where nothing was."""
    name: str
    """What the probes are: `centres` or `landmarks`."""
    nearest: Quantity
    """Which of the probes each record is taken to be like."""
    losses: Floats
    """Losses of the probes, shape (m,)."""
    left_out: Floats
    """What the other probes alone would say about each probe, shape (m,)."""
    values: Quantity
    """Proxy loss ℓ̂ of each record."""

    @classmethod
    def ignorant(cls, records: int) -> Proxy:
        """That of a method that asks for no losses: all records count the same."""
        none = np.empty(0)
        return cls(np.empty(0, np.int64), "centres", Constant(0, records), none, none, Constant(1.0, records))


@dataclass(frozen=True)
class CentreLosses:
    """The proxy losses of k clusters."""

    losses: Floats
    """Losses of the centres as asked for, shape (k,)."""
    values: Floats
    """Proxy loss ℓ̂ of the records of each cluster, shape (k,)."""
    left_out: Floats
    """What the other centres alone would say about each centre, shape (k,)."""
    shrinkage: float
    """How far the values were drawn to the mean: 0 where centres predict one another, 1 where they do not."""
    far_out: int
    """Centres whose loss was so large that it was kept."""

    def describe(self) -> dict[str, Any]:
        """For the manifest."""
        return {"shrinkage": self.shrinkage, "far_out": self.far_out}


def smoothed(centres: npt.NDArray[np.float32], losses: Floats) -> CentreLosses:
    """Proxies by kernel regression over neighbouring centres, shrunk to the mean; both by leave-one-out.

    With the weights K_ij = exp(-‖c_i - c_j‖² / h) over the 16 centres nearest to c_i, and c_i itself, the kernel
    estimate is g_i = Σ_j K_ij ℓ(c_j) / Σ_j K_ij and the proxy m + ρ (g_i - m), m the mean loss. h and ρ are those that
    predict the k losses best in squares, each from the others alone. So noise is smoothed away as far as the
    centres themselves show that it is noise, and losses that have nothing to do with the embedding end as one mean.

    A centre whose loss is far out (Tukey's fence of three interquartile ranges, on log losses) keeps it: the
    cluster may hold much of the corpus's loss, and if it does not, too many records of a small cluster cost little.

    Args:
        centres: embeddings of the centres, shape (k, d).
        losses: their losses, shape (k,), not negative.
    """
    k = len(losses)
    if k < 3 or losses.min() == losses.max():
        return CentreLosses(losses, losses, losses, 0.0, 0)
    positions, squared = neighbours(centres, min(_NEIGHBOURS, k - 1))
    unit = float(np.median(squared[:, 0])) or 1.0
    others = (losses.sum() - losses) / (k - 1)
    best = float(((losses - others) ** 2).mean())
    bandwidth, trust, left_out = None, 0.0, others
    for candidate in unit * _BANDWIDTHS:
        difference = _kernel_mean(squared, losses[positions], candidate) - others
        slope = _ratio(float(difference @ (losses - others)), float(difference @ difference))
        share = min(max(slope, 0.0), 1.0)
        predicted = others + share * difference
        error = float(((losses - predicted) ** 2).mean())
        if error < best:
            best, bandwidth, trust, left_out = error, candidate, share, predicted
    mean = losses.mean()
    values = np.full(k, mean)
    if bandwidth is not None:
        itself = np.zeros((k, 1))
        around = _kernel_mean(np.hstack([itself, squared]), np.hstack([losses[:, None], losses[positions]]), bandwidth)
        values = mean + trust * (around - mean)
    far_out = losses > _far_out(losses)
    values = np.where(far_out, np.maximum(losses, values), values)
    return CentreLosses(losses, values, left_out, 1.0 - trust, int(far_out.sum()))


def verbatim(centres: npt.NDArray[np.float32], losses: Floats) -> CentreLosses:
    """Each centre's loss as it is, as Algorithm 1 of Axiotis et al. (2024) takes it; arguments as for `smoothed`."""
    return replace(smoothed(centres, losses), values=losses, shrinkage=0.0, far_out=0)


def auto_lambda(centres: npt.NDArray[np.float32], losses: Floats, *, z: int) -> float | None:
    """λ from the centres alone: how fast the losses of neighbouring centres drift apart with their distance.

    The least-squares line |ℓ(c_i) - ℓ(c_j)| ≈ a + λ ‖c_i - c_j‖^z over the 16 nearest neighbours c_j of each centre,
    with a, λ >= 0. a takes up what differs between records that lie together, which distance does not explain:
    without it, λ would be large on any corpus, most of all where losses have nothing to do with the embedding.
    None where there is nothing to compare: fewer than three centres, or losses that are all equal.

    Args:
        centres: embeddings of the centres, shape (k, d).
        losses: their losses, shape (k,).
        z: the power of the distance, 1 or 2.
    """
    k = len(losses)
    if k < 3 or losses.min() == losses.max():
        return None
    positions, squared = neighbours(centres, min(_NEIGHBOURS, k - 1))
    gaps = (squared ** (z / 2)).ravel()
    differences = np.abs(losses[positions] - losses[:, None]).ravel()
    return slope_above_zero(gaps, differences)


def slope_above_zero(gaps: Floats, differences: Floats) -> float:
    """The slope λ >= 0 of the least-squares line `differences` ≈ a + λ `gaps` with a >= 0; both of shape (m,)."""
    unit = _power_of_two(float(gaps.max(initial=0)))  # changes no digit, and their squares fit into float32
    gaps = gaps / gaps.dtype.type(unit)
    centred = gaps - gaps.mean()
    slope = _ratio(float(centred @ differences), float(centred @ centred))
    if differences.mean() < slope * gaps.mean():  # the line would start below 0
        slope = _ratio(float(gaps @ differences), float(gaps @ gaps))
    return max(slope, 0.0) / unit


def _kernel_mean(squared: Floats, losses: Floats, bandwidth: float) -> Floats:
    """Means of losses, shape (k, m), weighted by exp(-squared / bandwidth) along the rows."""
    exponents = -squared / bandwidth
    exponents -= exponents.max(axis=1, keepdims=True)  # however far all neighbours lie, they count
    weights = np.exp(exponents)
    return (weights * losses).sum(axis=1) / weights.sum(axis=1)


def _far_out(losses: Floats) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = np.quantile(np.log(losses), [0.25, 0.75])
        fence = high + _FENCE * (high - low)
        return float(np.exp(fence)) if np.isfinite(fence) else float("inf")


def _power_of_two(value: float) -> float:
    """The largest one that is not above `value`; 1 for 0."""
    return math.ldexp(1.0, math.frexp(value)[1] - 1) if value > 0 else 1.0


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator > 0 else 0.0
