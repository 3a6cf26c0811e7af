"""The records that could be drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tithe.selection.arrays import Positions
from tithe.selection.engine.quantities import Constant, Derived, Few, Quantity, located, without


@dataclass(frozen=True)
class Candidates:
    """All usable records, or those that `--exclude` leaves; `candidates[at]` says whether the records `at` are some."""

    mask: Quantity
    count: int

    @classmethod
    def everyone(cls, records: int) -> Candidates:
        return cls(Constant(True, records), records)

    @classmethod
    def without(cls, records: int, excluded: Positions) -> Candidates:
        """All but the records at the positions `excluded`, which are distinct."""
        return cls(without(Constant(True, records), Few(np.sort(excluded))), records - len(excluded))

    @property
    def excluded(self) -> int:
        return len(self) - self.count

    def __len__(self) -> int:
        return len(self.mask)

    def __getitem__(self, at: Any, /) -> npt.NDArray[np.bool_]:
        return self.mask[at]

    def nth(self, numbers: Positions) -> Positions:
        """The positions of the candidates of these numbers, counted from 0; both ascending, of shape (m,)."""
        masses = Derived(lambda candidate: candidate.astype(np.float64), self.mask)
        return located(numbers.astype(np.float64), masses)[0]
