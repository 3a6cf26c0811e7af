"""The designs: how likely each record is to be drawn, how the sample is drawn, and how far its estimates stray."""

from __future__ import annotations

from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tithe.selection import variance
from tithe.selection.errors import UsageError
from tithe.selection.groundwork import Groundwork
from tithe.selection.methods.base import Judgement, Mask
from tithe.selection.options import Options
from tithe.selection.sampling import Sample, draw_independent, draw_pivotal, inclusion_probabilities

Floats = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]
Labels = npt.NDArray[np.int32]

# See groundwork.py for the other streams.
_ORDER_STREAM = 6


class Design(Protocol):
    """A way to draw from n records, some of which may be left out (they have no chance)."""

    def draw(self, rng: np.random.Generator) -> Sample: ...

    def forecast_from_probes(self, nearest: Labels, losses: Floats, left_out: Floats) -> Floats:
        """Roughly that, if all records were like the probe nearest to them: what those of each add, shape (m,).

        `nearest` says which it is, shape (n,); `losses` are those of the probes and `left_out` what the other probes
        say of each, both of shape (m,).
        """
        ...

    def forecast(self, values: Floats, positions: Positions, *, population: int) -> float:
        """Variance of the estimated total of y, from y at `positions`, a simple random sample of those not left out.

        `values` and `positions` have shape (V,), V >= 2; `population` is the number of records not left out.
        """
        ...

    def estimated_variance(self, sample: Sample, values: Floats) -> float:
        """The same from the drawn sample itself and y of its records, shape (s,)."""
        ...


def make_design(options: Options, ground: Groundwork, judgement: Judgement, candidates: Mask) -> tuple[Design, int]:
    """The design that the options name, and the number of records, or draws, of its sample.

    `candidates` are the records that could be drawn, shape (n,). Raises UsageError where the centres do not fit into
    the budget.
    """
    clusters, available = ground.clusters, int(candidates.sum())
    scores = judgement.scores.values
    size = min(ground.plan.size, available)
    certain = np.empty(0, np.int64)
    if options.keep_centers:
        certain = clusters.centres[candidates[clusters.centres]]
        if len(certain) > size:
            raise UsageError(f"--keep-centers: {len(certain)} centres do not fit into a budget of {size} records")
    if options.sampler == "iid" and size < available:
        return IndependentDesign(scores, size, certain), size
    probabilities = np.zeros(len(candidates))
    among = np.flatnonzero(candidates)
    probabilities[among] = inclusion_probabilities(scores[among], size, np.searchsorted(among, certain))
    if options.sampler == "simple":
        no_order = np.random.default_rng([options.seed, _ORDER_STREAM]).permutation(among)
        return SimpleDesign(probabilities, no_order), size
    order = ground.order if judgement.order is None else judgement.order
    return PivotalDesign(probabilities, order[candidates[order]]), size


class PivotalDesign:
    """Ordered pivotal sampling: a fixed number of distinct records, spread along an order."""

    def __init__(self, probabilities: Floats, order: Positions) -> None:
        """`probabilities` have shape (n,) and an integer sum; `order` lists the positions where they are not 0."""
        self._probabilities = probabilities
        self._order = order

    def draw(self, rng: np.random.Generator) -> Sample:
        """See Design."""
        return draw_pivotal(self._probabilities, self._order, rng)

    def forecast_from_probes(self, nearest: Labels, losses: Floats, left_out: Floats) -> Floats:
        """Σ (1/π - 1) r² over the records of each probe, r the difference of its loss from what the others predict.

        A sample spread over the clusters errs by what losses differ within them, of which one loss each says nothing.
        r errs to the safe side: neighbouring probes are less alike than records of one cluster.
        """
        open_ = self._probabilities > 0
        inverse = np.bincount(nearest[open_], 1.0 / self._probabilities[open_] - 1.0, minlength=len(losses))
        return inverse * (losses - left_out) ** 2

    def forecast(self, values: Floats, positions: Positions, *, population: int) -> float:
        """See Design."""
        return variance.pivotal_variance(
            values, self._probabilities[positions], self._places[positions], population=population
        )

    def estimated_variance(self, sample: Sample, values: Floats) -> float:
        """See Design."""
        return variance.estimated_pivotal_variance(values, sample.probabilities, self._places[sample.positions])

    @cached_property
    def _places(self) -> Floats:
        return variance.places_in_order(self._probabilities, self._order)


class SimpleDesign(PivotalDesign):
    """Pivotal sampling along an order that says nothing: with equal probabilities a simple random sample."""

    def forecast_from_probes(self, nearest: Labels, losses: Floats, left_out: Floats) -> Floats:
        """Σ π (1 - π) (y/π - R)² with y the loss of the probe, R = Σ (1 - π) y / Σ π (1 - π) (Hájek 1964)."""
        open_ = np.flatnonzero((self._probabilities > 0) & (self._probabilities < 1))
        labels, pi = nearest[open_], self._probabilities[open_]
        y = losses[labels]
        mass = pi * (1 - pi)
        ratio = float(((1 - pi) * y).sum()) / float(mass.sum()) if len(open_) else 0.0
        contributions = mass * (y / pi - ratio) ** 2
        return np.bincount(labels, contributions, minlength=len(losses)).astype(np.float64)


class IndependentDesign:
    """Independent draws in proportion to scores, but for records taken with certainty."""

    def __init__(self, scores: Floats, draws: int, certain: Positions) -> None:
        """`scores` have shape (n,); the records at `certain` count among the `draws`."""
        self._scores = scores
        self._draws = draws
        self._certain = certain

    def draw(self, rng: np.random.Generator) -> Sample:
        """See Design."""
        return draw_independent(self._scores, self._draws, rng, self._certain)

    def forecast_from_probes(self, nearest: Labels, losses: Floats, left_out: Floats) -> Floats:
        """(Σ_e y²/p - Y²) / s, with y(e) what the other probes predict of its probe, and an error as theirs.

        With y(e) the loss itself, in proportion to which p was chosen, there would hardly be any variance left.
        """
        open_ = self._shares > 0
        labels = nearest[open_]
        inverse = np.bincount(labels, 1.0 / self._shares[open_], minlength=len(losses))
        totals = np.bincount(labels, minlength=len(losses)) * left_out
        squares = left_out**2 + (losses - left_out) ** 2
        return (inverse * squares - totals * totals.sum()) / max(self._draws - len(self._certain), 1)

    def forecast(self, values: Floats, positions: Positions, *, population: int) -> float:
        """See Design."""
        lottery = self._draws - len(self._certain)
        return variance.independent_variance(values, self._shares[positions], lottery, population=population)

    def estimated_variance(self, sample: Sample, values: Floats) -> float:
        """See Design."""
        shares = self._shares[sample.positions]
        counts = np.rint(sample.weights * (self._draws - len(self._certain)) * shares)
        return variance.estimated_independent_variance(values, shares, counts)

    @cached_property
    def _shares(self) -> Floats:
        """Chance of each record in one draw; 0 for those that are certain."""
        open_ = self._scores.copy()
        open_[self._certain] = 0.0
        total = open_.sum()
        return open_ / total if total > 0 else open_
