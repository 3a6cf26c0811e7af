"""The designs: how likely each record is to be drawn, how the sample is drawn, and how far its estimates stray."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tithe.selection import variance
from tithe.selection.candidates import Candidates
from tithe.selection.errors import UsageError
from tithe.selection.groundwork import Groundwork
from tithe.selection.methods.base import Judgement
from tithe.selection.options import Options
from tithe.selection.order import positions
from tithe.selection.per_record import Derived, Few, PerRecord, total, totals
from tithe.selection.sampling import (
    NOBODY,
    Sample,
    draw_independent,
    draw_pivotal,
    inclusion_probabilities,
    open_masses,
    without,
)

Floats = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]

# See groundwork.py for the other streams.
_ORDER_STREAM = 6


class Chances(Protocol):
    """What a design gives m of the records."""

    def part(self, numbers: Positions) -> Chances:
        """The same for some of them, given by their numbers from range(m)."""
        ...

    def forecast(self, values: Floats, *, population: int) -> float:
        """Variance of the estimated total of y, from y of these records, a simple random sample of the candidates.

        `values` have shape (m,), m >= 2; `population` is the number of candidates.
        """
        ...


class Design(Protocol):
    """A way to draw from the candidates."""

    @property
    def size(self) -> int:
        """The number of records, or draws, of a sample."""
        ...

    def draw(self, rng: np.random.Generator) -> Sample: ...

    def chances(self, positions: Positions) -> Chances:
        """What the records at `positions`, ascending, can expect."""
        ...

    def forecast_from_probes(self, nearest: PerRecord, losses: Floats, left_out: Floats) -> Floats:
        """Roughly the variance of the estimated total, if all records were like the probe nearest to them: what the
        records of each probe add, shape (m,).

        `nearest` says which probe it is; `losses` are those of the probes and `left_out` what the other probes say of
        each, both of shape (m,).
        """
        ...

    def estimated_variance(self, sample: Sample, values: Floats) -> float:
        """The same from the drawn sample itself and y of its records, shape (s,)."""
        ...


def make_design(
    options: Options,
    ground: Groundwork,
    judgement: Judgement,
    candidates: Candidates,
    always: Positions = NOBODY,
) -> Design:
    """The design that the options name; raises UsageError where what is certain does not fit into the budget.

    `always` are the positions of candidates that are certain, ascending, whatever the options say of centres.
    """
    scores = judgement.scores.values
    size = min(ground.plan.size, candidates.count)
    certain = certain_records(options, ground, candidates, always)
    if options.sampler == "iid" and size < candidates.count:
        return IndependentDesign(scores, size, certain)
    probabilities = inclusion_probabilities(scores, size, certain, candidates)
    if options.sampler == "simple":
        no_order = positions(len(candidates))
        np.random.default_rng([options.seed, _ORDER_STREAM]).shuffle(no_order)
        return SimpleDesign(probabilities, no_order, size)
    return PivotalDesign(probabilities, ground.order if judgement.order is None else judgement.order, size)


def certain_records(options: Options, ground: Groundwork, candidates: Candidates, always: Positions) -> Positions:
    """The candidates that are taken in any case, ascending; raises UsageError where the budget is too small for them.

    `always` are those of `--always`, ascending.
    """
    if not options.keep_centers:
        return always
    size = min(ground.plan.size, candidates.count)
    centres = np.sort(ground.clusters.centres)
    centres = centres[candidates[centres]]
    certain = np.union1d(always, centres)
    if len(certain) > size:
        others = f" and {len(certain) - len(centres)} records of --always" if len(certain) > len(centres) else ""
        raise UsageError(f"--keep-centers: {len(centres)} centres{others} do not fit into a budget of {size} records")
    return certain


@dataclass(frozen=True)
class PivotalChances:
    """Inclusion probabilities, and places in the order; shape (m,)."""

    probabilities: Floats
    places: Floats

    def part(self, numbers: Positions) -> PivotalChances:
        """See Chances."""
        return PivotalChances(self.probabilities[numbers], self.places[numbers])

    def forecast(self, values: Floats, *, population: int) -> float:
        """See Chances."""
        return variance.pivotal_variance(values, self.probabilities, self.places, population=population)


@dataclass(frozen=True)
class PivotalDesign:
    """Ordered pivotal sampling: a fixed number of distinct records, spread along an order."""

    probabilities: PerRecord
    """Their sum is `size`."""
    order: PerRecord
    """A permutation of range(n)."""
    size: int

    def draw(self, rng: np.random.Generator) -> Sample:
        """See Design."""
        return draw_pivotal(self.probabilities, self.order, rng)

    def chances(self, positions: Positions) -> PivotalChances:
        """See Design."""
        masses = open_masses(self.probabilities, self.order)
        return PivotalChances(self.probabilities[positions], variance.places_in_order(masses, self.order, positions))

    def forecast_from_probes(self, nearest: PerRecord, losses: Floats, left_out: Floats) -> Floats:
        """Σ (1/π - 1) r² over the records of each probe, r the difference of its loss from what the others predict.

        A sample spread over the clusters errs by what losses differ within them, of which one loss each says nothing.
        r errs to the safe side: neighbouring probes are less alike than records of one cluster.
        """
        inverse = totals(nearest, len(losses), Derived(lambda pi: _inverse(pi) - (pi > 0), self.probabilities))
        return inverse * (losses - left_out) ** 2

    def estimated_variance(self, sample: Sample, values: Floats) -> float:
        """See Design."""
        places = self.chances(sample.positions).places
        return variance.estimated_pivotal_variance(values, sample.probabilities, places)


class SimpleDesign(PivotalDesign):
    """Pivotal sampling along an order that says nothing: with equal probabilities a simple random sample."""

    def forecast_from_probes(self, nearest: PerRecord, losses: Floats, left_out: Floats) -> Floats:
        """Σ π (1 - π) (y/π - R)² with y the loss of the probe, R = Σ (1 - π) y / Σ π (1 - π) (Hájek 1964)."""

        def of_each_probe(weight: Callable[[Floats], Floats]) -> Floats:
            weights = Derived(lambda pi: weight(pi) * ((pi > 0) & (pi < 1)), self.probabilities)
            return totals(nearest, len(losses), weights)

        inverse = of_each_probe(lambda pi: (1 - pi) * _inverse(pi))
        complement = of_each_probe(lambda pi: 1 - pi)
        mass = of_each_probe(lambda pi: pi * (1 - pi))
        ratio = float(complement @ losses) / float(mass.sum()) if mass.any() else 0.0
        return np.maximum(losses**2 * inverse - 2 * ratio * losses * complement + ratio**2 * mass, 0.0)


@dataclass(frozen=True)
class IndependentChances:
    """Chances in one draw of the lottery, shape (m,), and how many draws it has."""

    shares: Floats
    lottery: int

    def part(self, numbers: Positions) -> IndependentChances:
        """See Chances."""
        return IndependentChances(self.shares[numbers], self.lottery)

    def forecast(self, values: Floats, *, population: int) -> float:
        """See Chances."""
        return variance.independent_variance(values, self.shares, self.lottery, population=population)


class IndependentDesign:
    """Independent draws in proportion to scores, but for records taken with certainty."""

    def __init__(self, scores: PerRecord, draws: int, certain: Positions = NOBODY) -> None:
        """The records at the positions `certain`, ascending, count among the `draws`."""
        self.size = draws
        self._scores = scores
        self._certain = certain
        self._lottery = draws - len(certain)

    def draw(self, rng: np.random.Generator) -> Sample:
        """See Design."""
        return draw_independent(self._scores, self.size, rng, self._certain)

    def chances(self, positions: Positions) -> IndependentChances:
        """See Design."""
        return IndependentChances(self._shares[positions], self._lottery)

    def forecast_from_probes(self, nearest: PerRecord, losses: Floats, left_out: Floats) -> Floats:
        """(Σ_e y²/p - Y²) / s, with y(e) what the other probes predict of its probe, and an error as theirs.

        With y(e) the loss itself, in proportion to which p was chosen, there would hardly be any variance left.
        """
        inverse = totals(nearest, len(losses), Derived(_inverse, self._shares))
        sums = totals(nearest, len(losses), Derived(lambda p: p > 0, self._shares)) * left_out
        squares = left_out**2 + (losses - left_out) ** 2
        return (inverse * squares - sums * sums.sum()) / max(self._lottery, 1)

    def estimated_variance(self, sample: Sample, values: Floats) -> float:
        """See Design."""
        shares = self._shares[sample.positions]
        counts = np.rint(sample.weights * self._lottery * shares)
        return variance.estimated_independent_variance(values, shares, counts)

    @cached_property
    def _shares(self) -> PerRecord:
        """Chance of each record in one draw; 0 for those that are certain."""
        open_ = without(self._scores, Few(self._certain))
        mass = total(open_)
        return Derived(lambda scores: scores.astype(np.float64) / (mass or 1.0), open_)


def _inverse(probabilities: Floats) -> Floats:
    """1/π, and 0 for π = 0."""
    return np.divide(1.0, probabilities, out=np.zeros(len(probabilities)), where=probabilities > 0)
