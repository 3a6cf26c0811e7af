"""What a design is: how the sample is drawn, and how far its estimates stray."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from tithe.selection.arrays import Floats, Positions
from tithe.selection.engine.quantities import Quantity
from tithe.selection.sampling.probabilities import Sample


class Chances(Protocol):
    """What a design gives m of the records."""

    def part(self, numbers: Positions) -> Chances:
        """The same for some of them, given by their numbers from range(m)."""
        ...

    def forecast(self, values: Floats, *, population_size: int) -> float:
        """Variance of the estimated total of y, from y of these records, a simple random sample of the candidates.

        `values` have shape (m,), m >= 2; `population_size` is the number of candidates.
        """
        ...


class Design(Protocol):
    """A way to draw from the candidates."""

    @property
    def size(self) -> int:
        """The number of records, or draws, of a sample."""
        ...

    def draw(self, rng: np.random.Generator) -> Sample: ...

    def inclusion(self, positions: Positions) -> Floats:
        """Probability that each of the records at `positions` is in the sample at all."""
        ...

    def chances(self, positions: Positions) -> Chances:
        """What the records at `positions`, ascending, can expect."""
        ...

    def forecast_from_probes(self, nearest: Quantity, losses: Floats, left_out: Floats) -> Floats:
        """Roughly the variance of the estimated total, if all records were like the probe nearest to them: what the
        records of each probe add, shape (m,).

        `nearest` says which probe it is; `losses` are those of the probes and `left_out` what the other probes say of
        each, both of shape (m,).
        """
        ...

    def deviations(self, sample: Sample, values: Floats) -> Floats:
        """How far what each record adds to the estimated total of y is from what those near it let expect, shape (s,).

        Scaled so that the sum of the squares estimates the variance of the estimated total; 0 for records that are
        certain. `values` are y of the records of the sample, shape (s,).
        """
        ...
