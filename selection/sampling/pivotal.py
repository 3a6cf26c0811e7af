"""A fixed number of distinct records, drawn along an order by ordered pivotal sampling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tithe.selection.arrays import Floats, Positions
from tithe.selection.clustering.order import RandomKeys, stable_order
from tithe.selection.engine.quantities import Derived, Quantity, totals
from tithe.selection.engine.seeds import Stream, entropy
from tithe.selection.population.population import Population
from tithe.selection.sampling import variance
from tithe.selection.sampling.probabilities import Sample, draw_pivotal, inclusion_probabilities, inverses, open_masses
from tithe.selection.sampling.sampler import Sampler


@dataclass(frozen=True)
class PivotalChances:
    """Inclusion probabilities, and places in the order; shape (m,)."""

    probabilities: Floats
    places: Floats

    def part(self, numbers: Positions) -> PivotalChances:
        return PivotalChances(self.probabilities[numbers], self.places[numbers])

    def forecast(self, values: Floats, *, population_size: int) -> float:
        return variance.pivotal_variance(values, self.probabilities, self.places, population_size=population_size)


@dataclass(frozen=True)
class PivotalDesign:
    """Ordered pivotal sampling: a fixed number of distinct records, spread along an order."""

    probabilities: Quantity
    """Their sum is `size`."""
    order: Quantity
    """A permutation of range(n)."""
    size: int

    def draw(self, rng: np.random.Generator) -> Sample:
        return draw_pivotal(self.probabilities, self.order, rng)

    def inclusion(self, positions: Positions) -> Floats:
        return self.probabilities[positions]

    def chances(self, positions: Positions) -> PivotalChances:
        masses = open_masses(self.probabilities, self.order)
        return PivotalChances(self.probabilities[positions], variance.places_in_order(masses, self.order, positions))

    def forecast_from_probes(self, nearest: Quantity, losses: Floats, left_out: Floats) -> Floats:
        """Σ (1/π - 1) r² over the records of each probe, r the difference of its loss from what the others predict.

        A sample spread over the clusters errs by what losses differ within them, of which one loss each says nothing.
        r errs to the safe side: neighbouring probes are less alike than records of one cluster.
        """
        inverse = totals(nearest, len(losses), Derived(lambda pi: inverses(pi) - (pi > 0), self.probabilities))
        return inverse * (losses - left_out) ** 2

    def deviations(self, sample: Sample, values: Floats) -> Floats:
        places = self.chances(sample.positions).places
        return variance.pivotal_deviations(values, sample.probabilities, places)


class SimpleDesign(PivotalDesign):
    """Pivotal sampling along an order that says nothing: with equal probabilities a simple random sample."""

    def forecast_from_probes(self, nearest: Quantity, losses: Floats, left_out: Floats) -> Floats:
        """Σ π (1 - π) (y/π - R)² with y the loss of the probe, R = Σ (1 - π) y / Σ π (1 - π) (Hájek 1964)."""

        def of_each_probe(weight: Callable[[Floats], Floats]) -> Floats:
            weights = Derived(lambda pi: weight(pi) * ((pi > 0) & (pi < 1)), self.probabilities)
            return totals(nearest, len(losses), weights)

        inverse = of_each_probe(lambda pi: (1 - pi) * inverses(pi))
        complement = of_each_probe(lambda pi: 1 - pi)
        mass = of_each_probe(lambda pi: pi * (1 - pi))
        ratio = float(complement @ losses) / float(mass.sum()) if mass.any() else 0.0
        return np.maximum(losses**2 * inverse - 2 * ratio * losses * complement + ratio**2 * mass, 0.0)


class Pivotal(Sampler):
    """Spread over the clusters."""

    spreads = True

    def design(
        self, scores: Quantity, order: Quantity, size: int, population: Population, *, seed: int
    ) -> PivotalDesign:
        return PivotalDesign(
            inclusion_probabilities(scores, size, population.certain, population.candidates), order, size
        )


class Simple(Sampler):
    """Whatever the clusters."""

    def design(
        self, scores: Quantity, order: Quantity, size: int, population: Population, *, seed: int
    ) -> SimpleDesign:
        keys = RandomKeys(len(population.candidates), entropy(seed, Stream.ORDER, given=population.given))
        probabilities = inclusion_probabilities(scores, size, population.certain, population.candidates)
        return SimpleDesign(probabilities, stable_order(keys), size)
