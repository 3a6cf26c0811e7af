"""Inclusion probabilities, and the two ways to draw.

*Ordered pivotal sampling* (Deville & Tillé 1998; Srinivasan 2001; Chauvet 2012) keeps every inclusion
probability, draws a fixed number of distinct records and never two neighbours more than their probabilities ask
for: records near one another in the order take each other's place. *Independent draws* are Algorithm 1 of
Axiotis et al. (2024) as printed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]

# A probability this near to 1 is 1: the difference is rounding, and pivotal sampling divides by 1 - p.
_NEARLY_ONE = 1 - 1e-9


@dataclass(frozen=True)
class Sample:
    """The records drawn: arrays of shape (s,), positions ascending and distinct."""

    positions: Positions
    probabilities: Floats
    """Probability that the record is in the sample at all."""
    weights: Floats
    """Unbiased: the expected sum of weights * f over the sample is the sum of f over the corpus."""


def inclusion_probabilities(scores: Floats, size: int, certain: Positions | None = None) -> Floats:
    """Probabilities of shape (n,) in proportion to `scores`, at most 1, with sum `size`.

    Those that would pass 1 are set to 1 and the rest rescaled, as often as it takes (Särndal et al. 1992,
    section 3.6). Records at the positions `certain` get 1. Where fewer than `size` scores are positive, the
    records of score 0 share what is left equally.
    """
    n = len(scores)
    if not 0 <= size <= n:
        raise ValueError(f"size {size} is not within 0..{n}")
    if n and not (np.isfinite(scores).all() and scores.min() >= 0):
        raise ValueError("scores must be finite and not negative")
    sure = np.zeros(n, bool)
    if certain is not None:
        sure[certain] = True
    if sure.sum() > size:
        raise ValueError(f"{sure.sum()} certain records do not fit into {size}")
    weight = np.asarray(scores, np.float64)
    if np.count_nonzero(weight[~sure]) < size - sure.sum():
        sure |= weight > 0
        weight = np.ones(n)
    return _fixed_size(weight, size, sure)


def _fixed_size(weight: Floats, size: int, sure: npt.NDArray[np.bool_]) -> Floats:
    probabilities = sure.astype(np.float64)
    while (left := size - np.count_nonzero(sure)) > 0:
        total = weight[~sure].sum()
        np.multiply(weight, left / total, out=probabilities, where=~sure)
        over = (probabilities >= _NEARLY_ONE) & ~sure
        if not over.any():
            break
        sure |= over
        probabilities[sure] = 1.0
    else:
        probabilities[~sure] = 0.0
    return probabilities


def draw_pivotal(probabilities: Floats, order: Positions, rng: np.random.Generator) -> Sample:
    """Draw round(sum of probabilities) distinct records by ordered pivotal sampling along `order`.

    Args:
        probabilities: inclusion probabilities, shape (n,), with an integer sum.
        order: a permutation of range(n); records near one another in it repel one another.
        rng: the source of randomness; two numbers are drawn for each record of the sample.
    """
    sure = probabilities >= 1.0
    open_ = order[~sure[order]]
    drawn = open_[ordered_pivotal(probabilities[open_], rng)]
    positions = np.sort(np.concatenate([np.flatnonzero(sure), drawn]))
    pi = probabilities[positions]
    return Sample(positions, pi, 1.0 / pi)


def ordered_pivotal(probabilities: Floats, rng: np.random.Generator) -> Positions:
    """Positions drawn by ordered pivotal sampling from probabilities < 1 with an integer sum s; shape (s,).

    In the pivotal method two records at a time settle who takes the probability of both; in order, the survivor
    of the records so far meets the next one. Chauvet (2012, section 3) cuts the cumulated probabilities at the
    integers. Within the unit interval i the survivor of the interval before (mass b_{i-1}) and the records that
    lie wholly inside compete for one place, in proportion to their mass; the winner then meets the record that
    straddles the interval's end (a_i of it inside, b_i beyond): one of the two is drawn, the other goes on with
    mass b_i. So each interval needs two random numbers, and who goes on is known from the last interval in which
    it was settled anew: no loop over records, nor over intervals.
    """
    cumulated = np.cumsum(probabilities)
    s = round(float(cumulated[-1])) if len(cumulated) else 0
    if s == 0:
        return np.empty(0, np.int64)
    cumulated *= s / cumulated[-1]  # rounding must not cost the last interval its end
    ends = np.arange(1, s, dtype=np.float64)
    straddler = np.searchsorted(cumulated, ends, side="right")
    start = np.where(straddler > 0, cumulated[straddler - 1], 0.0)
    inside, beyond = ends - start, cumulated[straddler] - ends
    mass_before = np.concatenate([[0.0], beyond])
    straddler_before = np.concatenate([[-1], straddler])

    # Who wins the interval: a point within its mass before the straddler; the survivor's share comes first.
    point = rng.random(s) * (1.0 - np.concatenate([inside, [0.0]]))
    winner = np.searchsorted(cumulated, np.arange(s) + point, side="right")
    winner = np.minimum(winner, np.concatenate([straddler - 1, [len(cumulated) - 1]]))
    survivor_wins = (point < mass_before) | (winner <= straddler_before)

    # Who is drawn, and who goes on: P(winner drawn) = (1 - a - b) / (1 - b).
    winner_drawn = rng.random(s - 1) * (1.0 - beyond) < 1.0 - inside - beyond
    goes_on = np.where(winner_drawn, straddler, winner[:-1])
    settled = np.where(winner_drawn | ~survivor_wins[:-1], np.arange(s - 1), -1)
    survivor = np.concatenate([[-1], goes_on[np.maximum.accumulate(settled)]])
    winner = np.where(survivor_wins, survivor, winner)
    return np.concatenate([np.where(winner_drawn, winner[:-1], straddler), winner[-1:]])


def draw_independent(scores: Floats, draws: int, rng: np.random.Generator, certain: Positions | None = None) -> Sample:
    """Draw records independently in proportion to `scores`, merging repeats into the weight.

    Axiotis et al. (2024), Algorithm 1: a record drawn c times out of s with probability p weighs c / (s p).
    Records at the positions `certain` are taken once, with weight 1, and leave the lottery.
    """
    fixed = np.empty(0, np.int64) if certain is None else np.unique(certain)
    open_scores = np.asarray(scores, np.float64).copy()
    open_scores[fixed] = 0.0
    s = draws - len(fixed)
    if s < 0:
        raise ValueError(f"{len(fixed)} certain records do not fit into {draws}")
    cumulated = np.cumsum(open_scores)
    if s == 0 or cumulated[-1] <= 0:
        ones = np.ones(len(fixed))
        return Sample(fixed, ones, ones.copy())
    drawn = np.searchsorted(cumulated, rng.random(s) * cumulated[-1], side="right")
    # A product that rounds up to the total would point past the last record that has a score.
    drawn = np.minimum(drawn, np.searchsorted(cumulated, cumulated[-1], side="left"))
    positions, counts = np.unique(drawn, return_counts=True)
    p = open_scores[positions] / cumulated[-1]
    weights = counts / (s * p)
    included = -np.expm1(s * np.log1p(-np.minimum(p, 1.0 - 1e-16)))
    order = np.argsort(np.concatenate([fixed, positions]), kind="stable")
    return Sample(
        np.concatenate([fixed, positions])[order],
        np.concatenate([np.ones(len(fixed)), included])[order],
        np.concatenate([np.ones(len(fixed)), weights])[order],
    )
