"""What orders of records that lie in many parts have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from tithe.selection.engines.scattered import ScatteredHome
from tithe.selection.per_record import PerRecord, Positions, reduced


class RememberedPlaces:
    """An order of records; `order[places]` are the positions of those located before."""

    def __init__(self, home: ScatteredHome) -> None:
        self.home = home
        self._known: dict[int, int] = {}

    def __len__(self) -> int:
        return self.home.records

    def __getitem__(self, at: Any, /) -> Positions:
        return np.array([self._known[place] for place in np.asarray(at).tolist()], np.int64)

    def remember(self, places: Positions, positions: Positions) -> None:
        """Take note of where located records are."""
        self._known.update(zip(places.tolist(), positions.tolist(), strict=True))


class MassesAlong:
    """Masses of records along an order, which are never all here."""

    def __init__(self, masses: PerRecord) -> None:
        self._masses = masses

    @property
    def home(self) -> Any:
        """These themselves: see `per_record.Home`."""
        return self

    def __len__(self) -> int:
        return len(self._masses)

    def __getitem__(self, at: Any, /) -> npt.NDArray[Any]:
        raise TypeError("masses along an order are never all here")

    def reduced(
        self, function: Callable[..., Any], combine: Callable[[Any, Any], Any], start: Any, *quantities: PerRecord
    ) -> Any:
        """See `per_record.Home`: a sum is the same in any order."""
        assert all(quantity is self for quantity in quantities)
        return reduced(function, combine, start, self._masses)
