"""Ordered pivotal sampling whose records have lengths that add up to what is expected: one sample, spliced of many.

*Two samples.* Of two samples of s records along an order, what lies between two places can be exchanged wherever both
have as many records before each: either way samples of s distinct records come out. Between one such cut and the next
lies a piece, mostly a single record. Which pieces change places is worked out so that the lengths in both of the new
samples add up to nearly the same; and then a fair coin says which of the two is kept. So every piece comes from either
sample with probability ½, whatever the lengths are.

*Many samples* are spliced two by two, and those that come out again, until one is left. Each of its pieces comes from
any one of them with the same probability: so a record is drawn with the probability π that it has in each of them. The
length of all is about the mean of theirs. And from cut to cut it is one of the pivotal samples, so that records near
one another take each other's place as they do there: an estimate errs as much as by a pivotal sample, or less where
what is estimated goes with the length.

*The samples* need not know nothing of each other: the random numbers of each of them must be uniform and independent of
one another, not of the next sample's. The j-th number of the r-th of R samples is u_j + r g_j / R, less whole numbers,
with a random u_j, and a random odd g_j: each number takes R values at even distances over all samples (a shifted
lattice; Cranley & Patterson 1976), and the mean length is much nearer to the expected one than that of independent
samples.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tithe.selection.arrays import Floats, Positions
from tithe.selection.engine.quantities import NOBODY, Quantity, total
from tithe.selection.sampling.probabilities import pivotal_samples

Signs = npt.NDArray[np.int8]

# Records in all samples together, where there are not more in two: the standard deviation of what the lengths add up to
# is at most that of one length, relative to the mean one, over the root of this.
_RECORDS = 1 << 18

# Where each record of the population is drawn so often, and so many are, more samples change little.
_EACH, _ENOUGH = 8, 1 << 12

# Numbers that are given their signs one after the other.
_STEPS = 256


def draw_spliced(probabilities: Quantity, lengths: Quantity, rng: np.random.Generator) -> Positions:
    """Places in an order, ascending: round(sum of probabilities) of them, whose lengths add up to about Σ π length.

    Args:
        probabilities: below 1, along the order, with an integer sum.
        lengths: of the records, along the order.
        rng: the source of randomness.
    """
    size = round(total(probabilities))
    if size == 0:
        return NOBODY
    samples = pivotal_samples(probabilities, _spread_over(_samples(size, len(probabilities)), rng))
    places, records = np.unique(np.sort(samples, axis=1), return_inverse=True)
    length = lengths[places].astype(np.float64)
    records = records.reshape(samples.shape)  # numbers in the order of the places
    while len(records) > 1:
        records = _spliced(records[::2], records[1::2], length, rng)
    return places[records[0]]


def _samples(size: int, population_size: int) -> int:
    """How many samples of a size are spliced: a power of two."""
    count = 2
    while count * size < min(_RECORDS, max(_ENOUGH, _EACH * population_size)):
        count *= 2
    return count


def _spread_over(samples: int, rng: np.random.Generator) -> Callable[[int], Floats]:
    """Random numbers for each of the samples, shape (samples, m): of each sample independent, over all of them even."""

    def uniform(count: int) -> Floats:
        step = rng.integers(samples // 2, size=count) * 2 + 1
        return (rng.random(count) + np.arange(samples)[:, None] * step / samples) % 1.0

    return uniform


def _spliced(one: Positions, other: Positions, length: Floats, rng: np.random.Generator) -> Positions:
    """A sample of each two, a row each; records by numbers in the order, ascending."""
    begins = np.ones(one.shape, bool)
    begins[:, 1:] = np.maximum(one, other)[:, :-1] < np.minimum(one, other)[:, 1:]
    pieces = np.cumsum(begins, axis=1) - 1 + np.arange(len(one))[:, None] * one.shape[1]
    longer = np.bincount(pieces.ravel(), (length[other] - length[one]).ravel(), minlength=one.size).astype(np.float64)
    signs = _opposed(longer.reshape(one.shape))[0] * np.where(rng.random(len(one)) < 0.5, 1, -1)[:, None]
    return np.where(signs.ravel()[pieces] > 0, other, one)


def _opposed(numbers: Floats) -> tuple[Signs, Floats]:
    """Signs by which the numbers in each row add up to nearly 0, and what they add up to.

    From the largest to the smallest, each is added or taken away, whichever brings the sum nearer to 0. Of more than
    256, every m-th largest are so opposed to each other, and then the m sums.
    """
    rows, count = numbers.shape
    falling = np.argsort(-np.abs(numbers), axis=1, kind="stable")
    lanes = -(-count // _STEPS)
    steps = -(-count // max(lanes, 1))
    laid = np.zeros((rows, steps * lanes))
    laid[:, :count] = np.take_along_axis(numbers, falling, axis=1)
    laid = laid.reshape(rows, steps, lanes)
    signs, sums = np.empty(laid.shape, np.int8), np.zeros((rows, lanes))
    for step in range(steps):
        signs[:, step] = np.where(sums * laid[:, step] > 0, -1, 1)
        sums += signs[:, step] * laid[:, step]
    if lanes > 1:
        of_lanes, left = _opposed(sums)
        signs *= of_lanes[:, None]
    else:
        left = sums.sum(axis=1)
    found = np.empty(numbers.shape, np.int8)
    np.put_along_axis(found, falling, signs.reshape(rows, -1)[:, :count], axis=1)
    return found, left
