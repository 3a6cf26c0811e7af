"""The records that could be drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tithe.selection.per_record import Constant, PerRecord, Positions, blocks


@dataclass(frozen=True)
class Candidates:
    """All usable records, or those that `--exclude` leaves; `candidates[at]` says whether the records `at` are some."""

    mask: PerRecord
    count: int

    @classmethod
    def everyone(cls, records: int) -> Candidates:
        return cls(Constant(True, records), records)

    @classmethod
    def without(cls, records: int, excluded: Positions) -> Candidates:
        """All but the records at the positions `excluded`, which are distinct."""
        if len(excluded) == 0:
            return cls.everyone(records)
        mask = np.ones(records, bool)
        mask[excluded] = False
        return cls(mask, records - len(excluded))

    @property
    def excluded(self) -> int:
        return len(self) - self.count

    def __len__(self) -> int:
        return len(self.mask)

    def __getitem__(self, at: Any, /) -> npt.NDArray[np.bool_]:
        return self.mask[at]

    def nth(self, numbers: Positions) -> Positions:
        """The positions of the candidates of these numbers, counted from 0; both ascending, of shape (m,)."""
        found, passed = np.empty(len(numbers), np.int64), 0
        for part in blocks(len(self)):
            here = np.flatnonzero(self[part])
            first, last = np.searchsorted(numbers, [passed, passed + len(here)])
            found[first:last] = part.start + here[numbers[first:last] - passed]
            passed += len(here)
        return found
