"""Uniform samples of streams of unknown length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

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


class VectorReservoir:
    """Holds a uniform sample of the vectors seen so far: those to which the lowest random numbers fell."""

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self._size = size
        self._rng = rng
        self._numbers: list[npt.NDArray[np.float64]] = []
        self._vectors: list[npt.NDArray[np.float32]] = []
        self._highest = 1.0

    def extend(self, vectors: npt.NDArray[np.float32]) -> None:
        """See more vectors, shape (m, d)."""
        numbers = self._rng.random(len(vectors))
        taken = numbers < self._highest
        self._numbers.append(numbers[taken])
        self._vectors.append(vectors[taken])
        if sum(map(len, self._numbers)) > 2 * self._size:
            self._cut()

    def vectors(self) -> npt.NDArray[np.float32]:
        """The sample, in the order of its numbers: at random; shape (at most `size`, d), (0, 0) if none was seen."""
        if not self._vectors:
            return np.empty((0, 0), np.float32)
        self._cut()
        return self._vectors[0]

    def _cut(self) -> None:
        numbers, vectors = np.concatenate(self._numbers), np.concatenate(self._vectors)
        lowest = np.argsort(numbers)[: self._size]
        self._numbers, self._vectors = [numbers[lowest]], [vectors[lowest]]
        if len(numbers) > self._size:
            self._highest = float(numbers[lowest].max(initial=0.0))
