"""The nearest of many targets to each of many points: every search on one thread, the blocks spread over the cores.

`exact` compares each point with each target; `cells.CellSearch` leaves most of them out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tithe.selection.arrays import Labels, Vectors
from tithe.selection.embedding.vector_file import BLOCK
from tithe.selection.engine.blas import load_faiss
from tithe.selection.engine.threads import ordered_map

Distances = npt.NDArray[np.float32]


class Search(Protocol):
    """Finds a near target for each point of a block."""

    def __call__(self, block: Vectors, hints: Labels | None = None) -> tuple[Labels, Distances]:
        """Positions of targets near the points, and the squared distances to them.

        `hints` are targets that are likely near, one a point, shape (rows,): a search may start from them.
        """
        ...


def exact(targets: Vectors, count: int | None = None) -> Search:
    """The search for the nearest target, results of shape (rows,), or the `count` nearest: (rows, count)."""
    index = load_faiss().IndexFlatL2(targets.shape[1])
    index.add(targets)

    def search(block: Vectors, hints: Labels | None = None) -> tuple[Labels, Distances]:
        distances, positions = index.search(block, count or 1)
        if count is None:
            distances, positions = distances[:, 0], positions[:, 0]
        return positions.astype(np.int32), distances

    return search


def search_blocks(
    search: Search,
    blocks: Iterable[tuple[Vectors, Labels | None]],
    advance: Callable[[int], object] = lambda n: None,
) -> Iterator[tuple[Labels, Distances]]:
    """What `search` finds for each block and its hints, in order; `advance` is told of every point."""
    # One thread for each search: the number of threads must not change how BLAS rounds.
    one_thread = partial(load_faiss().omp_set_num_threads, 1)
    for found in ordered_map(lambda block: search(*block), blocks, initializer=one_thread):
        advance(len(found[0]))
        yield found


def search_all(
    points: Vectors,
    targets: Vectors | Search,
    advance: Callable[[int], object] = lambda n: None,
    *,
    hints: Labels | None = None,
) -> tuple[Labels, Distances]:
    """A target near each point, and the squared distance to it, as a search finds them; of targets, the nearest."""
    search = exact(targets) if isinstance(targets, np.ndarray) else targets
    cuts = [slice(start, start + BLOCK) for start in range(0, len(points), BLOCK)]
    found = list(search_blocks(search, ((points[cut], None if hints is None else hints[cut]) for cut in cuts), advance))
    return np.concatenate([labels for labels, _ in found]), np.concatenate([distances for _, distances in found])


def neighbours(vectors: Vectors, count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """For each vector the `count` nearest others, nearest first: positions and squared distances, both (k, count).

    1 <= count < k.
    """
    positions, squared = search_all(vectors, exact(vectors, count + 1))
    # A vector finds itself first, unless others are equal to it.
    itself = positions == np.arange(len(vectors))[:, None]
    itself[~itself.any(axis=1), -1] = True
    shape = (len(vectors), count)
    distances = np.maximum(squared[~itself].astype(np.float64), 0.0)
    return positions[~itself].astype(np.int64).reshape(shape), distances.reshape(shape)
