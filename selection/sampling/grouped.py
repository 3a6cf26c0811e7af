"""The design of `--group-by`: ordered pivotal sampling in each group, of exactly as many records as it is given."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tithe.selection.arrays import Counts, Floats, Positions
from tithe.selection.clustering.order import stable_order
from tithe.selection.engine.quantities import NOBODY, Derived, Few, Quantity, blocks, reduced, without
from tithe.selection.population.candidates import Candidates
from tithe.selection.population.groups import Groups
from tithe.selection.sampling import variance
from tithe.selection.sampling.allocation import sizes_of_groups
from tithe.selection.sampling.pivotal import PivotalChances, PivotalDesign
from tithe.selection.sampling.probabilities import Sample, cut_off, open_masses, ordered_pivotal, with_certain
from tithe.selection.sampling.variance import Stretches


@dataclass(frozen=True)
class GroupProbabilities:
    """Inclusion probabilities worked out of scores: of each group in proportion to them, but 1 from some score on."""

    scores: Quantity
    groups: Quantity
    factors: Floats
    """Of each group, shape (G,)."""
    sure_from: Floats
    certain: Few
    """Records of probability 1 whatever they score."""

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, at: Any, /) -> Floats:
        scores, group = self.scores[at].astype(np.float64), self.groups[at]
        probabilities = scores * self.factors[group]
        probabilities[scores >= self.sure_from[group]] = 1.0
        probabilities[self.certain.among(at)[0]] = 1.0
        return probabilities


def group_probabilities(
    scores: Quantity,
    groups: Quantity,
    counts: Counts,
    certain: Positions = NOBODY,
    candidates: Candidates | None = None,
) -> GroupProbabilities:
    """Probabilities with sum `counts`, shape (G,), in each group; see `inclusion_probabilities` for all else."""
    candidates = candidates or Candidates.everyone(len(scores))
    chosen = Few(certain)
    left = counts - np.bincount(groups[certain], minlength=len(counts))
    if (left < 0).any():
        raise ValueError("certain records do not fit into their groups")
    open_scores = without(scores, chosen)

    def counted(
        part: slice, values: Floats, group: npt.NDArray[Any], candidate: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.int64]:
        if not (np.isfinite(values).all() and values.min() >= 0):
            raise ValueError("scores must be finite and not negative")
        return np.stack([np.bincount(group[some], minlength=len(counts)) for some in (values > 0, candidate)])

    nothing = np.zeros((2, len(counts)), np.int64)
    positive, open_ = reduced(counted, operator.add, nothing, open_scores, groups, without(candidates, chosen))
    if (left > open_).any():
        raise ValueError("a group has fewer candidates than it is to give")
    flat = positive < left
    if flat.any():

        def levelled(score: Floats, group: npt.NDArray[Any], candidate: npt.NDArray[np.bool_]) -> Floats:
            return np.where(flat[group], np.where(score > 0, 2.0, candidate), score)

        scores = Derived(levelled, scores, groups, candidates)
    sure_from = np.where(flat, 2.0, np.inf)
    open_scores = without(scores, chosen)
    factors, sure_from = cut_off(
        lambda bounds: _of_groups(open_scores, groups, bounds), left.astype(np.float64), sure_from
    )
    return GroupProbabilities(scores, groups, factors, sure_from, chosen)


def _of_groups(scores: Quantity, groups: Quantity, sure_from: Floats) -> tuple[Floats, Floats, Floats]:
    """Of each group: how many scores are as large as `sure_from` says, the sum of the others, the largest of these."""
    count = len(sure_from)

    def found(part: slice, values: Floats, group: npt.NDArray[Any]) -> tuple[Floats, Floats, Floats]:
        values = values.astype(np.float64)
        sure = values >= sure_from[group]
        values[sure] = 0.0
        largest = np.zeros(count)
        np.maximum.at(largest, group, values)
        certain, below = (np.bincount(group, weights, minlength=count).astype(np.float64) for weights in (sure, values))
        return certain, below, largest

    return reduced(found, _together, (np.zeros(count), np.zeros(count), np.zeros(count)), scores, groups)


def _together(
    one: tuple[Floats, Floats, Floats], other: tuple[Floats, Floats, Floats]
) -> tuple[Floats, Floats, Floats]:
    return one[0] + other[0], one[1] + other[1], np.maximum(one[2], other[2])


def grouped_order(order: Quantity, groups: Groups) -> Quantity:
    """The same order group by group."""
    found = stable_order(Derived(groups.codes.__getitem__, order))
    for part in blocks(len(found)):
        found[part] = order[found[part]]
    return found


@dataclass(frozen=True)
class GroupChances(PivotalChances):
    """Inclusion probabilities, places in the order and the groups of m records."""

    stretches: Stretches

    def part(self, numbers: Positions) -> GroupChances:
        stretches = Stretches(self.stretches.of[numbers], self.stretches.units)
        return GroupChances(self.probabilities[numbers], self.places[numbers], stretches)

    def forecast(self, values: Floats, *, population_size: int) -> float:
        return variance.pivotal_variance(
            values, self.probabilities, self.places, population_size=population_size, stretches=self.stretches
        )


@dataclass(frozen=True)
class GroupDesign(PivotalDesign):
    """Ordered pivotal sampling along an order in which groups lie one after the other, anew in each of them.

    That is the same as along the whole order, since the probabilities of a group have an integer sum; but rounding
    cannot move a record from one group to the next.
    """

    groups: Groups
    counts: Counts
    """How many records of each group are drawn, shape (G,)."""

    def draw(self, rng: np.random.Generator) -> Sample:
        return with_certain(self.probabilities, self._drawn_by_chance(rng))

    def _drawn_by_chance(self, rng: np.random.Generator) -> Positions:
        order = self.order
        found, ends = [NOBODY], np.cumsum(self.groups.sizes()).astype(np.int64)
        for start, end in zip((0, *ends[:-1].tolist()), ends.tolist(), strict=True):
            members = order[start:end]
            found.append(members[ordered_pivotal(open_masses(self.probabilities, members), rng)].astype(np.int64))
        return np.concatenate(found)

    def chances(self, positions: Positions) -> GroupChances:
        masses = open_masses(self.probabilities, self.order)
        places = variance.places_in_order(masses, self.order, positions)
        stretches = Stretches(self.groups.codes[positions].astype(np.int64), self._units)
        return GroupChances(self.probabilities[positions], places, stretches)

    def deviations(self, sample: Sample, values: Floats) -> Floats:
        chances = self.chances(sample.positions)
        return variance.pivotal_deviations(values, sample.probabilities, chances.places, groups=chances.stretches.of)

    @cached_property
    def _units(self) -> Floats:
        """How many records of each group are left to chance."""
        certain = Derived(lambda p: p >= 1.0, self.probabilities)
        return self.counts - self.groups.sizes(certain)


def make_group_design(
    groups: Groups,
    scores: Quantity,
    size: int,
    order: Quantity,
    candidates: Candidates,
    certain: Positions = NOBODY,
) -> GroupDesign:
    """The design for `size` records; raises UsageError where the groups cannot be as wanted."""
    available = groups.sizes(candidates).astype(np.int64)
    sure = np.bincount(groups.codes[certain], minlength=len(available))
    counts = sizes_of_groups(groups, size, groups.sizes(scores), available, sure)
    probabilities = group_probabilities(scores, groups.codes, counts, certain, candidates)
    return GroupDesign(probabilities, grouped_order(order, groups), size, groups, counts)
