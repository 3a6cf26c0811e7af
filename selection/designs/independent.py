"""Records drawn independently of one another, with replacement."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from tithe.selection.designs import variance
from tithe.selection.designs.sampling import Sample, draw_independent, included, inverses
from tithe.selection.per_record import NOBODY, Derived, Few, PerRecord, total, totals, without

Floats = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]


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

    def inclusion(self, positions: Positions) -> Floats:
        """See Design."""
        certain = np.isin(positions, self._certain)
        return np.where(certain, 1.0, included(self._shares[positions], self._lottery))

    def chances(self, positions: Positions) -> IndependentChances:
        """See Design."""
        return IndependentChances(self._shares[positions], self._lottery)

    def forecast_from_probes(self, nearest: PerRecord, losses: Floats, left_out: Floats) -> Floats:
        """(Σ_e y²/p - Y²) / s, with y(e) what the other probes predict of its probe, and an error as theirs.

        With y(e) the loss itself, in proportion to which p was chosen, there would hardly be any variance left.
        """
        inverse = totals(nearest, len(losses), Derived(inverses, self._shares))
        sums = totals(nearest, len(losses), Derived(lambda p: p > 0, self._shares)) * left_out
        squares = left_out**2 + (losses - left_out) ** 2
        return (inverse * squares - sums * sums.sum()) / max(self._lottery, 1)

    def deviations(self, sample: Sample, values: Floats) -> Floats:
        shares = self._shares[sample.positions]
        counts = np.rint(sample.weights * self._lottery * shares)
        return variance.independent_deviations(values, shares, counts)

    @cached_property
    def _shares(self) -> PerRecord:
        """Chance of each record in one draw; 0 for those that are certain."""
        open_ = without(self._scores, Few(self._certain))
        mass = total(open_)
        return Derived(lambda scores: scores.astype(np.float64) / (mass or 1.0), open_)
