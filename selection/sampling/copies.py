"""A design in which each record stands for a number of others besides itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tithe.selection.arrays import Copies, Floats, Positions
from tithe.selection.engine.quantities import Derived, Quantity, totals
from tithe.selection.sampling.design import Chances
from tithe.selection.sampling.pivotal import PivotalDesign
from tithe.selection.sampling.probabilities import Sample, inverses


@dataclass(frozen=True)
class CopiesDesign:
    """A design in which each record stands for its copies: weights, and values, count as often as there are copies."""

    inner: PivotalDesign
    copies: Quantity

    @property
    def size(self) -> int:
        return self.inner.size

    def draw(self, rng: np.random.Generator) -> Sample:
        drawn = self.inner.draw(rng)
        return Sample(drawn.positions, drawn.probabilities, drawn.weights * self.copies[drawn.positions])

    def inclusion(self, positions: Positions) -> Floats:
        return self.inner.inclusion(positions)

    def chances(self, positions: Positions) -> CopiesChances:
        return CopiesChances(self.inner.chances(positions), self.copies[positions].astype(np.float64))

    def forecast_from_probes(self, nearest: Quantity, losses: Floats, left_out: Floats) -> Floats:
        """See PivotalDesign: Σ (1/π - 1) c² r², c the number of copies."""

        def term(pi: Floats, copies: Copies) -> Floats:
            return (inverses(pi) - (pi > 0)) * np.square(copies.astype(np.float64))

        weights = Derived(term, self.inner.probabilities, self.copies)
        return totals(nearest, len(losses), weights) * (losses - left_out) ** 2

    def deviations(self, sample: Sample, values: Floats) -> Floats:
        return self.inner.deviations(sample, values * self.copies[sample.positions])


@dataclass(frozen=True)
class CopiesChances:
    """Chances, and copies of shape (m,)."""

    inner: Chances
    copies: Floats

    def part(self, numbers: Positions) -> CopiesChances:
        return CopiesChances(self.inner.part(numbers), self.copies[numbers])

    def forecast(self, values: Floats, *, population_size: int) -> float:
        return self.inner.forecast(values * self.copies, population_size=population_size)
