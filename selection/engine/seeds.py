"""Streams of random numbers: one for each random step, so that a change in one leaves the others' numbers alone.

A step that is drawn on the strength of an earlier draw must not see the numbers of that draw again: a record that was
left over then, because the numbers were as they were, would be left over now by the same numbers, and its weight would
be wrong in expectation. Records that an earlier subset took are left out (`--exclude`, `--never`, or by hand from the
input, which then has fewer), and a model trained on an earlier subset gives other losses. So the steps of a draw take
their numbers from the seed *and* from all that an earlier draw can have had a say in. The files' own bytes are not
among that: the same records are drawn from the same corpus in another form.
"""

from __future__ import annotations

import hashlib
from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What the numbers are for."""

    TRAINING = 1
    """The records that k-means trains on."""
    DRAWING = 2
    VALIDATION = 3
    LANDMARKS = 4
    CANDIDATES = 5
    """Of k-center, the records among which it looks for the farthest."""
    ORDER = 6
    """The random order of `--sampler simple`."""
    COPIES = 7
    """How often each record comes, where records stand for the weights."""
    LINES = 8
    """The order of the lines, where records come several times."""
    NESTED = 9


def entropy(seed: int, stream: Stream, *numbers: int, given: bytes = b"") -> tuple[int, ...]:
    """What a generator is seeded with.

    Args:
        seed: the user's.
        stream: the step.
        numbers: which of several like steps.
        given: all that the step depends on and an earlier draw can have had a say in; see the module.
    """
    words = np.frombuffer(hashlib.sha256(given).digest(), "<u4")[:4].tolist() if given else []
    return (seed, int(stream), *numbers, *words)


def generator(seed: int, stream: Stream, *numbers: int, given: bytes = b"") -> np.random.Generator:
    """The random numbers of a step; arguments as for `entropy`."""
    return np.random.default_rng(entropy(seed, stream, *numbers, given=given))
