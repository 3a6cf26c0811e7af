"""Clusters of vectors that are at hand, as a run makes them of its partitions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from tithe.selection.clustering import kmeans
from tithe.selection.clustering.cells import SearchQuality
from tithe.selection.clustering.kmeans import Centres, Clustering


def cluster(
    blocks: Callable[[], Iterable[np.ndarray]], centroids: np.ndarray, trial: np.ndarray | None = None
) -> Clustering:
    """The clusters of vectors that come in blocks; `trial`: see `clustering.assign`."""
    found, centres = kmeans.assign(blocks(), centroids, trial), Centres.of(centroids)
    centres.take(found)
    kept, labels = centres.kept, centres.numbers[found.labels]
    vectors, at = centres.vectors[kept], np.cumsum([0, *map(len, blocks())])
    labelled = (
        (block, labels[start : start + len(block)]) for block, start in zip(blocks(), at.tolist(), strict=False)
    )
    distances = np.concatenate(list(kmeans.distances_to(vectors, labelled)))
    quality = None
    if found.by_cells:
        checked = kmeans.looked_up_at_random(len(labels))
        quality = SearchQuality.of(np.concatenate(list(blocks()))[checked], centroids, found.labels[checked])
    return Clustering(labels, distances, centres.positions[kept], vectors, found.cost, quality)


class InMemory:
    """The embeddings of a corpus, at hand."""

    encoded = empty = 0
    reused = ()

    def __init__(self, vectors: np.ndarray) -> None:
        self._vectors = vectors
        self.identity: dict[str, Any] = {}

    def lengths(self) -> None:
        """There are no texts."""

    def take(self, positions: np.ndarray) -> np.ndarray:
        return self._vectors[positions]

    def blocks(self) -> Iterator[np.ndarray]:
        step = kmeans.BLOCK
        return (self._vectors[at : at + step] for at in range(0, len(self._vectors), step))

    def summed(self, function: Callable[..., np.ndarray], *columns: np.ndarray) -> np.ndarray:
        return function(self._vectors, *columns)

    def measured(self, function: Callable[..., Sequence[np.ndarray]], dtypes: Sequence[str]) -> list[np.ndarray]:
        return [found.astype(dtype) for found, dtype in zip(function(self._vectors), dtypes, strict=True)]
