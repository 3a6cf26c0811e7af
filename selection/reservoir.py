"""A uniform sample of a stream of unknown length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np

Item = TypeVar("Item")


class Reservoir(Generic[Item]):
    """Holds a uniform sample of the items seen so far (Vitter 1985, Algorithm R).

    One random number is used for each item, so the sample does not depend on how the stream is cut into pieces.
    """

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self.items: list[Item] = []
        self._size = size
        self._rng = rng
        self._seen = 0

    def extend(self, items: Sequence[Item]) -> None:
        """See more items."""
        numbers = self._seen + 1 + np.arange(len(items))
        places = (self._rng.random(len(items)) * numbers).astype(np.int64)
        room = max(0, min(self._size - len(self.items), len(items)))
        self.items.extend(items[:room])
        for i in (room + np.flatnonzero(places[room:] < self._size)).tolist():
            self.items[places[i]] = items[i]
        self._seen += len(items)
