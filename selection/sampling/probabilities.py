"""Inclusion probabilities, and the two ways to draw.

*Ordered pivotal sampling* (Deville & Tillé 1998; Srinivasan 2001; Chauvet 2012) keeps every inclusion
probability, draws a fixed number of distinct records and never two neighbours more than their probabilities ask
for: records near one another in the order take each other's place. *Independent draws* are Algorithm 1 of
Axiotis et al. (2024) as printed. Both hold what they say of the sample, and go through the n records in blocks.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tithe.selection.arrays import Floats, Positions
from tithe.selection.engine.quantities import (
    NOBODY,
    Constant,
    Derived,
    Few,
    Quantity,
    located,
    positions_where,
    reduced,
    total,
    without,
)
from tithe.selection.population.candidates import Candidates

# A probability this near to 1 is 1: the difference is rounding, and pivotal sampling divides by 1 - p.
NEARLY_ONE = 1 - 1e-9


@dataclass(frozen=True)
class Sample:
    """The records drawn: arrays of shape (s,), positions ascending and distinct."""

    positions: Positions
    probabilities: Floats
    """Probability that the record is in the sample at all."""
    weights: Floats
    """Unbiased: the expected sum of weights * f over the sample is the sum of f over the corpus."""


@dataclass(frozen=True)
class Probabilities:
    """Inclusion probabilities of n records, worked out of their scores: factor * score, but 1 from some score on."""

    scores: Quantity
    factor: float
    sure_from: float
    certain: Few
    """Records of probability 1 whatever they score."""

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, at: Any, /) -> Floats:
        probabilities = self.scores[at].astype(np.float64)
        sure = probabilities >= self.sure_from
        probabilities[sure] = 0.0  # times the factor they might pass every number
        probabilities *= self.factor
        probabilities[sure] = 1.0
        probabilities[self.certain.among(at)[0]] = 1.0
        return probabilities


def inclusion_probabilities(
    scores: Quantity,
    size: float,
    certain: Positions = NOBODY,
    candidates: Candidates | None = None,
    costs: Quantity | None = None,
) -> Probabilities:
    """Probabilities in proportion to `scores`, at most 1, with sum `size`; with `costs`, what these add up to is.

    Those that would pass 1 are set to 1 and the rest rescaled, as often as it takes (Särndal et al. 1992,
    section 3.6). Records at the positions `certain`, ascending, get 1. Where the records of positive score cost less
    than `size`, the candidates of score 0 share what is left equally. No score of a record that is no candidate is
    positive; None: all are candidates. Without costs each record costs 1.
    """
    candidates = candidates or Candidates.everyone(len(scores))
    chosen = Few(certain)
    if costs is None:
        if not 0 <= size <= candidates.count:
            raise ValueError(f"size {size} is not within 0..{candidates.count}")
        if len(certain) > size:
            raise ValueError(f"{len(certain)} certain records do not fit into {size}")
        costs, left = Constant(1.0, len(scores)), size - len(certain)
    else:
        left = size - float(np.asarray(costs[certain], np.float64).sum())
    if _cost_of_positive(without(scores, chosen), costs) < left:
        scores = Derived(lambda score, candidate: np.where(score > 0, 2.0, candidate), scores, candidates)
        return Probabilities(scores, *_of_all(without(scores, chosen), costs, left, sure_from=2.0), chosen)
    return Probabilities(scores, *_of_all(without(scores, chosen), costs, left), chosen)


def _cost_of_positive(scores: Quantity, costs: Quantity) -> float:
    def found(part: slice, values: npt.NDArray[Any], cost: npt.NDArray[Any]) -> float:
        if not (np.isfinite(values).all() and values.min() >= 0):
            raise ValueError("scores must be finite and not negative")
        return float(cost[values > 0].sum(dtype=np.float64))

    return reduced(found, operator.add, 0.0, scores, costs)


def cut_off(
    sums: Callable[[Floats], tuple[Floats, Floats, Floats]], sizes: Floats, sure_from: Floats
) -> tuple[Floats, Floats]:
    """What the scores of each of G populations are multiplied by, so that probabilities add up to its size, and from
    which score on they are 1; both of shape (G,).

    Args:
        sums: from the scores from which on records are certain, shape (G,), to what the certain records cost, what the
            scores of the others cost, and the largest of these; each of shape (G,).
        sizes: shape (G,).
        sure_from: a first guess, not above what is found.
    """
    while True:
        spent, below, largest = sums(sure_from)
        left = sizes - spent
        factors = np.divide(left, below, out=np.zeros(len(sizes)), where=(left > 0) & (below > 0))
        certain = np.divide(NEARLY_ONE, factors, out=np.full(len(sizes), np.inf), where=factors > 0)
        over = largest >= certain
        if not over.any():
            return factors, sure_from
        sure_from = np.where(over, certain, sure_from)


def _of_all(scores: Quantity, costs: Quantity, size: float, sure_from: float = np.inf) -> tuple[float, float]:
    """`cut_off` for one population, whose records cost what `costs` says."""

    def sums(bound: Floats) -> tuple[Floats, Floats, Floats]:
        def found(part: slice, values: npt.NDArray[Any], cost: npt.NDArray[Any]) -> tuple[float, float, float]:
            values = values.astype(np.float64)
            sure = values >= bound[0]
            values[sure] = 0.0
            return float(cost[sure].sum(dtype=np.float64)), float((values * cost).sum()), float(values.max())

        spent, below, largest = reduced(found, _together, (0.0, 0.0, 0.0), scores, costs)
        return np.array([spent]), np.array([below]), np.array([largest])

    factors, bounds = cut_off(sums, np.array([size]), np.array([sure_from]))
    return float(factors[0]), float(bounds[0])


def _together(one: tuple[float, float, float], other: tuple[float, float, float]) -> tuple[float, float, float]:
    return one[0] + other[0], one[1] + other[1], max(one[2], other[2])


def draw_pivotal(probabilities: Quantity, order: Quantity, rng: np.random.Generator) -> Sample:
    """Draw round(sum of probabilities) distinct records by ordered pivotal sampling along `order`.

    Args:
        probabilities: inclusion probabilities of n records, with an integer sum.
        order: a permutation of range(n); records near one another in it repel one another.
        rng: the source of randomness; two numbers are drawn for each record of the sample.
    """
    drawn = order[ordered_pivotal(open_masses(probabilities, order), rng)].astype(np.int64)
    return with_certain(probabilities, drawn)


def with_certain(probabilities: Quantity, drawn: Positions) -> Sample:
    """The sample of the records that are certain and of those drawn by chance, with Horvitz-Thompson weights."""
    sure = positions_where(lambda pi: pi >= 1.0, probabilities)
    positions = np.sort(np.concatenate([sure, drawn]))
    pi = probabilities[positions]
    return Sample(positions, pi, 1.0 / pi)


def open_masses(probabilities: Quantity, order: Quantity) -> Quantity:
    """Inclusion probabilities along the order, 0 for records that are certain."""
    return Derived(lambda positions: open_mass(probabilities[positions]), order)


def open_mass(probabilities: Floats) -> Floats:
    """Inclusion probabilities, but 0 for those that are certain."""
    return np.where(probabilities < 1.0, probabilities, 0.0)


def ordered_pivotal(probabilities: Quantity, rng: np.random.Generator) -> Positions:
    """Positions drawn by ordered pivotal sampling from probabilities < 1 with an integer sum s; shape (s,)."""
    return pivotal_samples(probabilities, rng.random)


def pivotal_samples(probabilities: Quantity, uniform: Callable[[int], Floats]) -> Positions:
    """Positions drawn by ordered pivotal sampling, of one sample or of many; shape (..., s).

    In the pivotal method two records at a time settle who takes the probability of both; in order, the survivor
    of the records so far meets the next one. Chauvet (2012, section 3) cuts the cumulated probabilities at the
    integers. Within the unit interval i the survivor of the interval before (mass b_{i-1}) and the records that
    lie wholly inside compete for one place, in proportion to their mass; the winner then meets the record that
    straddles the interval's end (a_i of it inside, b_i beyond): one of the two is drawn, the other goes on with
    mass b_i. So each interval needs two random numbers, and who goes on is known from the last interval in which
    it was settled anew: no loop over records, nor over intervals.

    Args:
        probabilities: below 1, with an integer sum s.
        uniform: gives random numbers for m intervals, shape (..., m): those of one sample independent of each other.
    """
    mass = total(probabilities)
    s = round(mass)
    if s == 0:
        return uniform(0).astype(np.int64)
    line = PivotalLine(uniform(s), uniform(s - 1))
    factor = s / mass  # rounding must not cost the last interval its end
    line.straddled_by(*located(line.ends, probabilities, factor))
    points = line.points
    ascending = np.argsort(points, axis=None, kind="stable")
    winners = np.empty(points.size, np.int64)
    winners[ascending] = located(points.ravel()[ascending], probabilities, factor)[0]
    return line.drawn(winners.reshape(points.shape))


class PivotalLine:
    """Who is drawn by ordered pivotal sampling on a line from `start` to `start + s`, in one sample or in many.

    First it is told who holds the `ends` of the unit intervals, then who holds the `points`.
    """

    def __init__(self, point: Floats, coin: Floats, start: float = 0.0) -> None:
        """The random numbers: `point` of shape (..., s), `coin` of shape (..., s - 1)."""
        size = point.shape[-1]
        self.ends = start + np.arange(1, size, dtype=np.float64)
        self._begins = start + np.arange(size)
        self._point, self._coin = point, coin

    def straddled_by(self, straddler: Positions, start: Floats, after: Floats) -> None:
        """The records on the ends, and where their stretches of the line begin and end."""
        self._straddler = straddler
        self._inside, self._beyond = self.ends - start, after - self.ends
        self._before_straddler = np.concatenate([np.nextafter(start, 0.0), [np.inf]])
        self._point = self._point * (1.0 - np.concatenate([self._inside, [0.0]]))

    @property
    def points(self) -> Floats:
        """Who wins each interval: a point within its mass before the straddler; the survivor's share comes first."""
        return np.minimum(self._begins + self._point, self._before_straddler)

    def drawn(self, winner: Positions) -> Positions:
        """The records drawn, from those on the points."""
        s, inside, beyond, straddler = len(self._begins), self._inside, self._beyond, self._straddler
        mass_before = np.concatenate([[0.0], beyond])
        straddler_before = np.concatenate([[-1], straddler])
        survivor_wins = (self._point < mass_before) | (winner <= straddler_before)

        # Who is drawn, and who goes on: P(winner drawn) = (1 - a - b) / (1 - b).
        winner_drawn = self._coin * (1.0 - beyond) < 1.0 - inside - beyond
        goes_on = np.where(winner_drawn, straddler, winner[..., :-1])
        settled = np.where(winner_drawn | ~survivor_wins[..., :-1], np.arange(s - 1), -1)
        since = np.maximum.accumulate(settled, axis=-1)  # never -1: nobody survives to the first interval
        nobody = np.full((*winner.shape[:-1], 1), -1)
        survivor = np.concatenate([nobody, np.take_along_axis(goes_on, since, axis=-1)], axis=-1)
        winner = np.where(survivor_wins, survivor, winner)
        return np.concatenate([np.where(winner_drawn, winner[..., :-1], straddler), winner[..., -1:]], axis=-1)


def draw_independent(scores: Quantity, draws: int, rng: np.random.Generator, certain: Positions = NOBODY) -> Sample:
    """Draw records independently in proportion to `scores`, merging repeats into the weight.

    Axiotis et al. (2024), Algorithm 1: a record drawn c times out of s with probability p weighs c / (s p).
    Records at the positions `certain`, ascending, are taken once, with weight 1, and leave the lottery.
    """
    s = draws - len(certain)
    if s < 0:
        raise ValueError(f"{len(certain)} certain records do not fit into {draws}")
    ones = np.ones(len(certain))
    open_scores = without(scores, Few(certain))
    mass = total(open_scores)
    if s == 0 or mass <= 0:
        return Sample(certain, ones, ones.copy())
    drawn = located(np.sort(rng.random(s)) * mass, open_scores)[0]
    positions, counts = np.unique(drawn, return_counts=True)
    p = open_scores[positions].astype(np.float64) / mass
    weights = counts / (s * p)
    order = np.argsort(np.concatenate([certain, positions]), kind="stable")
    return Sample(
        np.concatenate([certain, positions])[order],
        np.concatenate([ones, included(p, s)])[order],
        np.concatenate([ones, weights])[order],
    )


def included(shares: Floats, draws: int) -> Floats:
    """1 - (1 - p)^s: probability to be drawn at all in s independent draws with chances p."""
    return -np.expm1(draws * np.log1p(-np.minimum(shares, 1.0 - 1e-16)))


def inverses(probabilities: Floats) -> Floats:
    """1/π, and 0 for π = 0."""
    return np.divide(1.0, probabilities, out=np.zeros(len(probabilities)), where=probabilities > 0)
