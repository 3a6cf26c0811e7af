"""`replicate` and `resample`: no weights, but records that come more or less often."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from tithe.selection.arrays import Floats
from tithe.selection.errors import UsageError
from tithe.selection.subset.shapes import replicated, resampled
from tithe.selection.subset.weight_shapes.base import Copying, Integers, WeightShape

if TYPE_CHECKING:
    from tithe.selection.options.options import Options

# Relative difference of two ways to work out the same number in double precision.
_ROUNDING = 1e-9


class Replicate(WeightShape):
    """Copies in proportion to the weights, rounded at random."""

    repeats_records = True

    def repeats(self, copying: Copying, rng: np.random.Generator) -> Integers:
        return replicated(copying.weights, copying.lines, copying.alike, rng, copying.tokens)

    def faults(self, weights: Floats, copies: Integers) -> Iterator[str]:
        expected = weights * (copies.sum() / weights.sum())
        if (np.abs(copies - expected) >= 1 + _ROUNDING * expected).any():
            yield "copies: are not in proportion to the weights, rounded up or down"


class Resample(WeightShape):
    """Every line drawn for itself, with replacement."""

    repeats_records = True

    def check(self, options: Options) -> None:
        super().check(options)
        if options.tokens is not None:
            raise UsageError("--tokens: lines drawn with replacement do not add up to it; take --weights-as replicate")

    def repeats(self, copying: Copying, rng: np.random.Generator) -> Integers:
        return resampled(copying.weights, copying.lines, rng)
