"""Smaller samples within a larger one, in two phases."""

from __future__ import annotations

import numpy as np

from tithe.selection.arrays import Positions
from tithe.selection.engine.quantities import NOBODY, Few, Quantity, blocks
from tithe.selection.population.population import Population
from tithe.selection.sampling.design import Design
from tithe.selection.sampling.make import Drawing, make_design
from tithe.selection.sampling.probabilities import Sample


def second_phase(
    drawing: Drawing, population: Population, scores: Quantity, order: Quantity, outer: Sample, size: int
) -> Design:
    """The design that draws `size` of the records of a larger sample; its positions are numbers from that sample.

    With scores s and the probabilities π₁ = min(1, λ₁ s) of the larger sample, s / π₁ scaled and cut off at 1 is
    π₂ / π₁, with π₂ = min(1, λ₂ s) those of a sample of the smaller size. The factor is that which makes the number of
    records exact for the larger sample as it came out; so a record's probability, in both phases together, is π₂ but
    for that factor.
    """
    inner = scores[outer.positions] / outer.probabilities
    return make_design(drawing, population.within(outer.positions), inner, _ranked(order, outer.positions), size)


def _ranked(order: Quantity, positions: Positions) -> Positions:
    """The numbers of the records at `positions`, ascending, as they come in the order."""
    places = Few(positions)
    return np.concatenate([NOBODY, *(places.among(order[part])[1] for part in blocks(len(order)))])


def thinned(outer: Sample, design: Design, rng: np.random.Generator) -> Sample:
    """A sample of a sample: its weights are the products of those of both phases (π* estimator; Särndal et al. 1992,
    section 9.3), unbiased whatever the larger sample was, since they are so given that sample."""
    drawn = design.draw(rng)
    at = drawn.positions
    return Sample(outer.positions[at], outer.probabilities[at] * drawn.probabilities, outer.weights[at] * drawn.weights)
