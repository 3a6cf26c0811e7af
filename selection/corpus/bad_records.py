"""Records that cannot be used: stop at the first, or go on and keep account."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tithe.selection.errors import TitheError
from tithe.selection.options.choices import Policy

PLACES_KEPT = 5


@dataclass
class BadRecords:
    """The rows left out so far. The corpus is read more than once, so a row may be reported again."""

    policy: Policy
    places: list[str] = field(default_factory=list)
    """The first few, each "path, line N: reason"."""
    _rows: set[int] = field(default_factory=set)
    _ascending: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def report(self, row: int, place: str, reason: str) -> None:
        """Take note of a bad record; raises TitheError under the policy `fail`."""
        if self.policy == "fail":
            raise TitheError(f"{place}: {reason} (--on-bad-record skip leaves such records out)")
        if row not in self._rows:
            self._rows.add(row)
            if len(self.places) < PLACES_KEPT:
                self.places.append(f"{place}: {reason}")

    def remember(self, rows: Iterable[int], places: Sequence[str]) -> None:
        """Take over what an earlier reading of the same records reported."""
        self._rows = set(rows)
        self._ascending = np.empty(0, np.int64)
        self.places = list(places)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, row: int) -> bool:
        return row in self._rows

    def rows(self) -> npt.NDArray[np.int64]:
        """The bad rows, ascending."""
        if len(self._ascending) != len(self._rows):  # rows are only ever added
            self._ascending = np.sort(np.fromiter(self._rows, np.int64, len(self._rows)))
        return self._ascending

    def overall_rows(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The overall rows of records counted without the bad ones."""
        bad = self.rows()
        return positions + np.searchsorted(bad - np.arange(len(bad)), positions, side="right")

    def positions(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The inverse of `overall_rows`, for rows that are not bad."""
        return rows - np.searchsorted(self.rows(), rows)
