"""Records drawn independently of one another, with replacement."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from tithe.selection.arrays import Floats, Positions
from tithe.selection.engine.quantities import NOBODY, Derived, Few, Quantity, total, totals, without
from tithe.selection.population.population import Population
from tithe.selection.sampling import variance
from tithe.selection.sampling.pivotal import Pivotal, PivotalDesign
from tithe.selection.sampling.probabilities import Sample, draw_independent, included, inverses
from tithe.selection.sampling.sampler import Drawn, Sampler

# Chances are worked out of 1 - π.
_COARSE = 1e-5

# Where 1 - π is less, nothing can be worked out of it.
_NEARLY_SURE = 1e-8


@dataclass(frozen=True)
class IndependentChances:
    """Chances in one draw of the lottery, shape (m,), and how many draws it has."""

    shares: Floats
    lottery: int

    def part(self, numbers: Positions) -> IndependentChances:
        return IndependentChances(self.shares[numbers], self.lottery)

    def forecast(self, values: Floats, *, population_size: int) -> float:
        return variance.independent_variance(values, self.shares, self.lottery, population_size=population_size)


class IndependentDesign:
    """Independent draws in proportion to scores, but for records taken with certainty."""

    def __init__(self, scores: Quantity, draws: int, certain: Positions = NOBODY) -> None:
        """The records at the positions `certain`, ascending, count among the `draws`."""
        self.size = draws
        self._scores = scores
        self._certain = certain
        self._lottery = draws - len(certain)

    def draw(self, rng: np.random.Generator) -> Sample:
        return draw_independent(self._scores, self.size, rng, self._certain)

    def inclusion(self, positions: Positions) -> Floats:
        certain = np.isin(positions, self._certain)
        return np.where(certain, 1.0, included(self._shares[positions], self._lottery))

    def chances(self, positions: Positions) -> IndependentChances:
        return IndependentChances(self._shares[positions], self._lottery)

    def forecast_from_probes(self, nearest: Quantity, losses: Floats, left_out: Floats) -> Floats:
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
    def _shares(self) -> Quantity:
        """Chance of each record in one draw; 0 for those that are certain."""
        open_ = without(self._scores, Few(self._certain))
        mass = total(open_)
        return Derived(lambda scores: scores.astype(np.float64) / (mass or 1.0), open_)


class Independent(Sampler):
    """Draws with replacement, as many as asked for; of everything, all that there is.

    Of s draws with chances p a record that came c times has w = c / (s p) and π = 1 - (1 - p)^s (Hansen & Hurwitz
    1943).
    """

    as_printed = True
    of_everything = "as many draws as there are records"

    def budget(self, clusters: int, epsilon: float) -> int:
        """⌈ε⁻²(2 + 2ε/3)⌉, as in Algorithm 1 of Axiotis et al. 2024."""
        return math.ceil(round(epsilon**-2 * (2 + 2 * epsilon / 3), 6))

    def design(
        self, scores: Quantity, order: Quantity, size: int, population: Population, *, seed: int
    ) -> IndependentDesign | PivotalDesign:
        if size < population.candidates.count:
            return IndependentDesign(scores, size, population.certain)
        return Pivotal().design(scores, order, size, population, seed=seed)

    def faults(self, drawn: Drawn) -> Iterator[str]:
        if (drawn.probabilities == 1).all():
            yield from super().faults(drawn)
            return
        weight, pi = drawn.weights, drawn.probabilities
        draws, open_, p = _chances(drawn)
        counts = weight[open_] * draws * p
        if not ((np.rint(counts) >= 1) & np.isclose(counts, np.rint(counts), rtol=_COARSE, atol=0)).all():
            yield "weight: does not fit the inclusion probability of independent draws everywhere"
        came, all_judged = int(np.rint(counts).sum()), bool((open_ | (pi == 1)).all())
        if came > draws or (all_judged and (pi[~open_] == weight[~open_]).all() and came != draws):
            yield f"rows: stand for {came} draws, of {draws}"

    def in_proportion(self, drawn: Drawn) -> tuple[npt.NDArray[np.bool_], Floats]:
        """The chances in a single draw."""
        _, open_, chances = _chances(drawn)
        return open_, chances


def _chances(drawn: Drawn) -> tuple[int, npt.NDArray[np.bool_], Floats]:
    """The number of draws; which records can be judged; chances p of these in a single draw."""
    certain = (drawn.probabilities == 1) & (drawn.weights == 1)
    draws = drawn.budget - int(certain.sum())
    open_ = ~certain & (drawn.probabilities < 1 - _NEARLY_SURE)
    return draws, open_, -np.expm1(np.log1p(-drawn.probabilities[open_]) / max(draws, 1))
