"""A simple random sample of numbers, with memory for the sample only."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def distinct(count: int, size: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """`size` different numbers of range(count), ascending; all subsets of that size are equally likely.

    Numbers are drawn, repeats left out, until there are enough: never more than are missing, so none is given up.
    """
    if not 0 <= size <= count:
        raise ValueError(f"size {size} is not within 0..{count}")
    if size > count // 2:
        kept = np.ones(count, bool)
        kept[distinct(count, count - size, rng)] = False
        return np.flatnonzero(kept)
    found = np.empty(0, np.int64)
    while len(found) < size:
        found = np.concatenate([found, rng.integers(count, size=size - len(found))])
        found.sort()  # np.union1d takes ten times as long
        found = found[np.flatnonzero(np.diff(found, prepend=-1))]
    return found
