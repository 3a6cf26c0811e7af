"""What a sampler is, and what most of them have in common."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from tithe.selection.arrays import Floats
from tithe.selection.engine.quantities import Quantity
from tithe.selection.population.population import Population
from tithe.selection.sampling.design import Design

# Relative difference of two ways to work out the same number in double precision.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Drawn:
    """What is recorded of the records of a sample, each array of shape (s,)."""

    weights: Floats
    probabilities: Floats
    """Of inclusion."""
    budget: int
    """Records, or draws, that were asked for."""
    stands_for_copies: bool = False
    """Whether a record may stand for several of the same text."""


class Sampler:
    """A way to draw records. A new one is a class in a file of its own, with `design`, and a line in the registry."""

    spreads: ClassVar[bool] = False
    """Whether it keeps to the order of the clusters: then it can meet the sizes of groups and a budget of tokens, and
    let one record stand for its copies."""
    as_printed: ClassVar[bool] = False
    """Whether methods are to score as their papers print it, without what spreading over the clusters asks for."""
    of_everything: ClassVar[str] = "everything is taken"
    """What becomes of a budget that is no less than the candidates."""

    def budget(self, clusters: int, epsilon: float) -> int:
        """Records to draw for an error of `epsilon`: k + ⌈1/ε²⌉."""
        return clusters + math.ceil(round(epsilon**-2, 6))

    def design(self, scores: Quantity, order: Quantity, size: int, population: Population, *, seed: int) -> Design:
        """The design for a sample of `size` records, at most as many as there are candidates.

        `scores` say how likely records are to be drawn, but for a factor, shape (n,); 0 for those that are no
        candidates. `order` is a permutation of range(n) along which records of a cluster follow one another.
        """
        raise NotImplementedError

    def faults(self, drawn: Drawn) -> Iterator[str]:
        """For `tithe verify`: what cannot be so of records that were drawn like this.

        The default is what holds of a fixed number of distinct records: w = 1/π (Horvitz & Thompson 1952), c/π where
        a record stands for c of the same text.
        """
        if len(drawn.weights) != drawn.budget:
            yield f"rows: are {len(drawn.weights)}, of a budget of {drawn.budget}"
        stands_for = drawn.weights * drawn.probabilities
        whole = np.rint(stands_for) if drawn.stands_for_copies else np.ones(len(stands_for))
        if not ((whole >= 1) & np.isclose(stands_for, whole, rtol=ROUNDING, atol=0)).all():
            at = int(np.argmax(np.abs(stands_for - whole)))
            yield f"weight: is not the inverse of the inclusion probability, as in line {at + 1} of the rows file"

    def in_proportion(self, drawn: Drawn) -> tuple[npt.NDArray[np.bool_], Floats]:
        """Which records were left to chance, shape (s,), and numbers of theirs that are in proportion to the scores."""
        open_ = drawn.probabilities < 1
        return open_, drawn.probabilities[open_]
