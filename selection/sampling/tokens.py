"""The design of `--tokens`: as many records as have so many tokens, drawn so that these add up to the budget.

*Probabilities* are those of as many records by count, in proportion to the scores: the number of records s is that
for which the expected tokens Σ π t come nearest to the budget, which is half a record away at most. Probabilities in
proportion to s/√t would give more, and shorter, records for the same tokens, and the least variance where scores are
proportional to standard deviations (Cochran 1977, section 5.5); but the weights, in proportion to √t, are so unequal
that the estimated mean loss of T0 and GSM8K erred as much (tests/benchmarks/tokens.py).

*Draw.* Ordered pivotal sampling, spliced so that tokens add up: see `spliced`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from tithe.selection.arrays import Floats, Positions
from tithe.selection.engine.quantities import NOBODY, Derived, Quantity, total
from tithe.selection.population.candidates import Candidates
from tithe.selection.sampling import variance
from tithe.selection.sampling.pivotal import PivotalChances, PivotalDesign
from tithe.selection.sampling.probabilities import Sample, inclusion_probabilities, open_masses, with_certain
from tithe.selection.sampling.spliced import draw_spliced


@dataclass(frozen=True)
class TokenChances(PivotalChances):
    """Inclusion probabilities, places in the order and tokens of m records."""

    tokens: Floats

    def part(self, numbers: Positions) -> TokenChances:
        return TokenChances(self.probabilities[numbers], self.places[numbers], self.tokens[numbers])

    def forecast(self, values: Floats, *, population_size: int) -> float:
        variance_of = partial(
            variance.pivotal_variance,
            probabilities=self.probabilities,
            places=self.places,
            population_size=population_size,
        )
        return variance_of(unexplained(values, self.probabilities, self.tokens, variance_of))


@dataclass(frozen=True)
class TokenDesign(PivotalDesign):
    """Ordered pivotal sampling of records whose tokens add up to what is expected."""

    tokens: Quantity

    def draw(self, rng: np.random.Generator) -> Sample:
        order = self.order
        tokens = Derived(lambda at: self.tokens[at], order)
        drawn = order[draw_spliced(open_masses(self.probabilities, order), tokens, rng)]
        return with_certain(self.probabilities, drawn.astype(np.int64))

    def chances(self, positions: Positions) -> TokenChances:
        chances = super().chances(positions)
        tokens = np.asarray(self.tokens[positions]).astype(np.float64)
        return TokenChances(chances.probabilities, chances.places, tokens)

    def deviations(self, sample: Sample, values: Floats) -> Floats:
        """Those of ordered pivotal sampling, of what the tokens leave unexplained; a degree of freedom goes with them.

        Of fewer than three records that were left to chance nothing can be explained.
        """
        chances = self.chances(sample.positions)
        tokens, pi = chances.tokens, sample.probabilities

        def deviations_of(y: Floats) -> Floats:
            return variance.pivotal_deviations(y, pi, chances.places)

        drawn = int(np.count_nonzero(pi < 1.0))
        if drawn < 3:
            return deviations_of(values)
        left = unexplained(values, pi, tokens, lambda y: float((deviations_of(y) ** 2).sum()))
        return deviations_of(left) * np.sqrt((drawn - 1) / (drawn - 2))


def unexplained(
    values: Floats, probabilities: Floats, tokens: Floats, variance_of: Callable[[Floats], float]
) -> Floats:
    """y - β π (t - t̄), with the β that leaves the least variance: the tokens of a sample add up, and so does β t.

    `variance_of` is a quadratic form. t̄ is such that Σ π (t - t̄) / π = 0 over the records that are not certain.
    """
    open_ = probabilities < 1.0
    if not open_.any():
        return values
    lengths = np.where(open_, probabilities * (tokens - tokens[open_].mean()), 0.0)
    spread = variance_of(lengths)
    if spread <= 0:
        return values
    # Brought to one size, lest the difference of the two variances be rounding.
    scale = np.sqrt(variance_of(values) / spread)
    common = variance_of(values + scale * lengths) - variance_of(values - scale * lengths)
    return values - common / (4 * spread * scale) * lengths if scale > 0 else values


def make_token_design(
    scores: Quantity,
    tokens: Quantity,
    budget: int,
    order: Quantity,
    candidates: Candidates,
    certain: Positions = NOBODY,
) -> TokenDesign:
    """The design for a budget of tokens, which is at least those of the records that are certain.

    Of the number of records drawn, in proportion to their scores, the expected tokens come nearest to the budget.
    """
    size = candidates.count
    if total(Derived(np.multiply, tokens, candidates)) > budget:
        size = round(total(inclusion_probabilities(scores, budget, certain, candidates, costs=tokens)))
    return TokenDesign(inclusion_probabilities(scores, size, certain, candidates), order, size, tokens)
