"""Where a key's vector lies: an index in memory, 16 bytes for each vector."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tithe.selection.arrays import Rows

Keys = npt.NDArray[np.uint64]

# Keys of a sorted level, at most: bounds what a merge holds beside the index.
_LEVEL = 1 << 22


class KeyIndex:
    """Rows by 64-bit keys; of equal keys the one added last counts.

    A few sorted levels, as in a log-structured merge tree: to add costs O(log n) a key in the mean, and no step takes
    long or much memory.
    """

    def __init__(self) -> None:
        self._levels: list[tuple[Keys, Rows]] = []  # the newest last

    def add(self, keys: Keys, rows: Rows) -> None:
        """Add keys with their rows, both of shape (m,)."""
        for start in range(0, len(keys), _LEVEL):
            self._levels.append(_sorted(keys[start : start + _LEVEL], rows[start : start + _LEVEL]))
            while self._newest_two_should_merge():
                newer = self._levels.pop()
                older = self._levels.pop()
                keys_of_both = np.concatenate([older[0], newer[0]])
                self._levels.append(_sorted(keys_of_both, np.concatenate([older[1], newer[1]])))

    def find(self, keys: Keys) -> Rows:
        """The row of each key, -1 where it is unknown; shape (m,)."""
        rows = np.full(len(keys), -1, np.int64)
        for known, at in reversed(self._levels):
            open_ = np.flatnonzero(rows < 0)
            place = np.minimum(np.searchsorted(known, keys[open_]), len(known) - 1)
            hit = known[place] == keys[open_]
            rows[open_[hit]] = at[place[hit]]
        return rows

    def _newest_two_should_merge(self) -> bool:
        if len(self._levels) < 2:
            return False
        older, newer = len(self._levels[-2][0]), len(self._levels[-1][0])
        return older <= 2 * newer and older + newer <= _LEVEL


def _sorted(keys: Keys, rows: Rows) -> tuple[Keys, Rows]:
    order = np.argsort(keys, kind="stable")
    keys, rows = keys[order], rows[order]
    last = np.append(keys[1:] != keys[:-1], True)  # noqa: RUF100
    return keys[last], rows[last]
