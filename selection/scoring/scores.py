"""Scores: how much the total loss could change with each record (Axiotis et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tithe.selection.arrays import Floats, Positions
from tithe.selection.engine.quantities import Derived, Quantity, materialized, total
from tithe.selection.population.candidates import Candidates

# Share of the score that all records have in common under pivotal sampling. Drawn in cluster order, a sample gets the
# level of the loss right in any case; what is left is how losses differ within a cluster, of which the scores of
# Algorithm 1 know little. Measured (tests/benchmarks/sampling.py): half and half errs less than either alone.
# Besides, it bounds every weight by twice the mean weight.
UNIFORM_SHARE = 0.5


@dataclass(frozen=True)
class Scores:
    """What the sample is drawn in proportion to."""

    values: npt.NDArray[np.float32]
    """Shape (n,), not negative; their mean over the candidates is 1, so that no unit of the loss is beyond float32."""
    unit: float
    """What they are multiplied by to be in the unit of the loss."""
    smoothness: float
    """λ: how much loss may change over a unit of the spread."""
    uniform_share: float
    """The part of the score that all records have in common."""

    def at(self, positions: Positions) -> Floats:
        """Scores in the unit of the loss."""
        return self.values[positions].astype(np.float64) * self.unit


def sensitivity_scores(
    proxies: Quantity,
    spreads: Quantity,
    candidates: Candidates,
    *,
    smoothness: float | None,
    uniform_share: float,
) -> Scores:
    """Score the records that could be drawn: (1 - u) (ℓ̂(e) + λ v(e)) + u m; the others get 0.

    m is the mean of ℓ̂ + λ v over the candidates. u = 0, with the loss of the cluster's centre as ℓ̂ and its distance
    to the power z as v, gives the scores of Algorithm 1 (Axiotis et al. 2024).

    Args:
        proxies: proxy loss ℓ̂ of each record.
        spreads: how far each record lies from what its proxy rests on.
        candidates: the records that could be drawn.
        smoothness: λ; None gives the loss and the spread half of the total score each, Σ_e ℓ̂(e) = λ Σ_e v(e):
            with one cluster the lightweight coreset of Bachem et al. (2018).
        uniform_share: u, from 0 to 1.
    """
    loss, spread = (total(Derived(np.multiply, quantity, candidates)) for quantity in (proxies, spreads))
    if smoothness is None:
        smoothness = loss / spread if spread > 0 else 0.0
    mean = (loss + smoothness * spread) / candidates.count
    if mean == 0:  # no loss and no spread anywhere: all records are alike
        alike = Derived(lambda proxy, candidate: candidate, proxies, candidates)
        return Scores(materialized(alike, np.float32), 1.0, smoothness, uniform_share)

    def relative(proxy: Floats, spread: Floats, candidate: npt.NDArray[np.bool_]) -> Floats:
        return ((1 - uniform_share) * ((proxy + smoothness * spread) / mean) + uniform_share) * candidate

    values = materialized(Derived(relative, proxies, spreads, candidates), np.float32)
    return Scores(values, mean, smoothness, uniform_share)


def distances_to_the_power(squared_distances: Quantity, z: int) -> Quantity:
    """v(e) = distance^z from squared distances."""

    def spread(squared: npt.NDArray[np.float32]) -> Floats:
        distances = squared.astype(np.float64)
        return np.sqrt(distances, out=distances) if z == 1 else distances

    return Derived(spread, squared_distances)
