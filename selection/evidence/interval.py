"""An interval for a total that keeps its word where the losses are skewed, and none where no interval could.

Losses are not negative, and a few of them may hold much of the total. Then an estimate that is too low comes with an
estimate of its error that is too low as well, since both missed the same records, and T ± t √V holds the total of
lognormal losses (σ = 1.5) in four samples of five, where 19 of 20 were promised. Three things mend that.

*The gamma interval.* The total of the sampled records is taken for gamma distributed with mean T and variance V, which
for many records is the normal distribution, and for few that carry it is skewed as a sum of rare events is. For
weighted sums of Poisson counts this is the interval of Fay & Feuer (1997, Statistics in Medicine 16:791), whose upper
limit counts one event more than was seen: here V is that of the design, and the event is one record more, as far above
its neighbours as a record may lie that is farther out than all that were drawn.

*How far that is.* By Hill's estimate γ of the tail index (Hill 1975) from the largest m of the deviations, the expected
size of one that is beyond the largest, d, is d / (1 - γ). γ is cut off at 0.9: where it is more, next to nothing is
known of the mean. Where losses of 0 were drawn, d is at least what the one of largest weight would have added with the
mean of the losses above 0.

*Too few losses above 0.* Below five of them there is no interval: how large the others are, nobody has seen. And an
interval that is only given where at least five were drawn must hold under that condition, so with m of them the lower
limit is brought down by the same factor as that for the mean λ of a Poisson count is, when P(M >= m | M >= 5; λ) takes
the place of P(M >= m; λ).

Over the losses and sizes of tests/benchmarks/coverage.py it holds the truth in 93% of the samples or more, also where
the variance of the losses is infinite (Pareto, α = 1.5). What no drawn record shows, no interval can know.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from tithe.selection.arrays import Floats

CONFIDENCE = 0.95

# Losses above 0 that must have been drawn.
FEWEST = 5

_TAIL_INDEX_AT_MOST = 0.9

# From here on the condition that at least FEWEST were drawn changes nothing.
_MANY = 60

TOO_FEW = f"fewer than {FEWEST} of the records that could tell have a loss above 0"
"""Why there is none."""


def skewed_interval(total: float, deviations: Floats, losses: Floats, weights: Floats) -> tuple[float, float] | None:
    """Lower and upper limit of the total of records that were drawn by chance.

    Args:
        total: its estimate T >= 0.
        deviations: how far what each record adds to T is from what its neighbours let expect, shape (s,), scaled so
            that Σ deviations² estimates the variance of T.
        losses: of the records, shape (s,), not negative.
        weights: of the records, shape (s,).

    Returns None where no interval would be honest.
    """
    above = losses > 0
    positive = int(np.count_nonzero(above))
    if positive < FEWEST or total <= 0:
        return None
    # Student's t takes the place of the normal distribution by a variance that is larger in their ratio squared.
    quantile = (1 + CONFIDENCE) / 2
    widening = special.stdtrit(len(deviations) - 1, quantile) / special.ndtri(quantile)
    variance = float(deviations @ deviations) * widening**2
    overlooked = float(weights[~above].max(initial=0.0)) * float(losses[above].mean())
    unseen = largest_unseen(deviations, overlooked)
    low = gamma_quantile(total, variance, 1 - quantile) * _lowered(positive, 1 - quantile)
    return low, gamma_quantile(total + unseen, variance + unseen**2, quantile)


def gamma_quantile(mean: float, variance: float, probability: float) -> float:
    """Of a gamma distribution; shape mean² / variance, scale variance / mean."""
    if variance <= 0:
        return mean
    return variance / mean * float(special.gammaincinv(mean**2 / variance, probability))


def largest_unseen(deviations: Floats, at_least: float = 0.0) -> float:
    """How large a deviation is in expectation that is beyond the largest of these, and `at_least`."""
    found = np.sort(deviations[deviations > 0])[::-1]
    if len(found) == 0:
        return at_least
    # Of n deviations of which half are positive, the largest √n.
    count = min(math.isqrt(2 * len(found)), len(found) - 1)
    index = float(np.log(found[:count] / found[count]).mean()) if count else _TAIL_INDEX_AT_MOST
    return max(float(found[0]), at_least) / (1 - min(index, _TAIL_INDEX_AT_MOST))


def _lowered(positive: int, probability: float) -> float:
    """What the condition that at least FEWEST losses above 0 were drawn makes of a lower limit: a factor up to 1."""
    if positive >= _MANY:
        return 1.0
    # P(M >= m; λ) is gammainc(m, λ); by bisection, since the ratio grows with λ.
    low, high = 0.0, float(positive)
    for _ in range(60):
        middle = (low + high) / 2
        if special.gammainc(positive, middle) < probability * special.gammainc(FEWEST, middle):
            low = middle
        else:
            high = middle
    return low / float(special.gammaincinv(positive, probability))
