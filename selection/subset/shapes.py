"""What a trainer gets of the weights: a number with each record, or records that come more or less often.

A file without weights stands for the weighted subset where each record has w_i / Σw of its lines in expectation: the
mean loss of the lines is then the weighted mean loss, whatever the losses. Two ways to get there: *replicate* rounds
the expected numbers of copies at random, up or down, so that their sum stays; *resample* draws every line for itself,
with replacement. Both are unbiased; replicating strays less from the weighted mean, by construction.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tithe.selection.arrays import Floats
from tithe.selection.sampling.probabilities import ordered_pivotal
from tithe.selection.sampling.spliced import draw_spliced

Integers = npt.NDArray[np.int64]

# An expected number of copies this near to an integer is one: the difference is rounding.
_ROUNDING = 1e-9


def scaled(weights: Floats, scale: str | None) -> Floats:
    """Weights as they are (their sum estimates the number of records of the corpus), or brought to mean 1."""
    return weights / weights.mean() if scale == "mean" else weights


def replicated(
    weights: Floats, lines: int, order: Integers, rng: np.random.Generator, tokens: Floats | None = None
) -> Integers:
    """How often each record comes, in `lines` lines together; shape (s,).

    The expected number e = lines * w / Σw is rounded down, or up with a probability of its fraction, by pivotal
    sampling: as many are rounded up as makes the number of lines exact.

    Args:
        weights: positive, shape (s,).
        lines: how many there will be.
        order: a permutation of range(s); of records near one another in it, one is rounded up in the other's stead.
        rng: the source of randomness.
        tokens: of each record, shape (s,), where the lines are to have as many together as is expected.
    """
    expected = weights * (lines / weights.sum())
    nearest = np.rint(expected)
    whole = np.where(np.abs(expected - nearest) < _ROUNDING, nearest, np.floor(expected))
    copies = whole.astype(np.int64)
    fractions = np.maximum(expected - whole, 0.0)[order]
    up = ordered_pivotal(fractions, rng) if tokens is None else draw_spliced(fractions, tokens[order], rng)
    copies[order[up]] += 1
    return copies


def resampled(weights: Floats, lines: int, rng: np.random.Generator) -> Integers:
    """How often each record comes where each of `lines` lines is drawn for itself, in proportion to `weights`."""
    return rng.multinomial(lines, weights / weights.sum()).astype(np.int64)


def line_order(copies: Integers, rng: np.random.Generator) -> Integers:
    """Which record each line holds, in random order; shape (Σ copies,)."""
    return rng.permutation(np.repeat(np.arange(len(copies)), copies))
