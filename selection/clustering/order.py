"""The order in which records are drawn, and sorting many records with little memory."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from tithe.selection.clustering.kmeans import Clustering
from tithe.selection.engine import quantities
from tithe.selection.engine.columns import new_column
from tithe.selection.engine.quantities import Derived, Quantity, blocks, totals

Order = npt.NDArray[np.integer]
Keys = npt.NDArray[np.int64]

# Blocks that a run has about as many records as, and keys that are looked at for the bounds of each.
_BLOCKS_PER_RUN, _LOOKED_AT = 2, 64


def sampling_order(clustering: Clustering) -> Order:
    """The order in which records are drawn, a permutation of range(n): like clusters together, each by distance.

    From the centre outwards in one cluster and back inwards in the next, so that records on both sides of a border
    are alike in their distance, too. Input order within a cluster does as well in a corpus that is sorted by source
    or topic, and worse in a shuffled one (tests/benchmarks/sampling.py).
    """
    rank = np.empty(clustering.k, np.uint32)
    rank[similarity_order(clustering.centre_vectors)] = np.arange(clustering.k, dtype=np.uint32)

    def key(labels: npt.NDArray[np.int32], squared_distances: npt.NDArray[np.float32]) -> Keys:
        ranks = rank[labels]
        # The bits of floats that are not negative sort as the floats do.
        outwards = (squared_distances + np.float32(0)).view(np.uint32)
        return (ranks.astype(np.int64) << np.int64(32)) | np.where(ranks % 2 == 0, outwards, ~outwards)

    return stable_order(Derived(key, clustering.labels, clustering.squared_distances))


def stable_order(keys: Quantity) -> Order:
    """argsort(keys, kind="stable") of n integers from range(2**63), holding the result and a few blocks.

    A sample sort: keys looked at here and there bound runs of about equal length; the records are put into their
    runs, in their order, and each run is sorted. A key that bounds a run has a run of its own, which is sorted as it
    is: so no sort is long because many keys are equal.
    """
    n = len(keys)
    order = positions(n)
    bounds = _bounds(keys)
    lengths = totals(Derived(partial(_run, bounds), keys), len(bounds) + 1).astype(np.int64)
    ends = np.cumsum(lengths)
    free = ends - lengths
    for part in blocks(n):
        runs = _run(bounds, keys[part])
        here = np.bincount(runs, minlength=len(lengths))
        first = np.cumsum(here) - here
        order[np.repeat(free - first, here) + np.arange(len(runs))] = part.start + np.argsort(runs, kind="stable")
        free += here
    one_key = np.diff(bounds, prepend=0, append=2**63) == 1
    for start, end in zip((ends - lengths)[~one_key].tolist(), ends[~one_key].tolist(), strict=True):
        members = order[start:end]
        order[start:end] = members[np.argsort(keys[members], kind="stable")]
    return order


class RandomKeys:
    """A random number of 63 bits for each record, which nobody need hold; sorted by it they are in random order.

    SplitMix64 (Steele, Lea & Flood 2014) from a random state on: the number of a record is that of its position.
    """

    def __init__(self, records: int, seed: Sequence[int]) -> None:
        self._records = records
        self._state = np.random.SeedSequence(seed).generate_state(1, np.uint64)

    def __len__(self) -> int:
        return self._records

    def __getitem__(self, at: Any, /) -> Keys:
        positions = np.arange(*at.indices(self._records)) if isinstance(at, slice) else np.asarray(at)
        mixed = self._state + (positions.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(1)).astype(np.int64)


def positions(records: int) -> Order:
    """range(records), in 4 bytes each where they do."""
    found = new_column(records, np.uint32 if records <= 2**32 else np.int64)
    for part in blocks(records):
        found[part] = np.arange(part.start, part.stop)
    return found


def _bounds(keys: Quantity) -> Keys:
    """Ascending: a run is what lies from one bound to before the next."""
    n = len(keys)
    if keys[:1].dtype.itemsize <= 2:
        return np.arange(1, 2**16 + 1)  # few enough for a run each
    runs = -(-n // (_BLOCKS_PER_RUN * quantities.BLOCK))
    if runs < 2:
        return np.empty(0, np.int64)
    looked_at = np.sort(keys[np.linspace(0, n - 1, _LOOKED_AT * runs).astype(np.int64)].astype(np.int64))
    chosen = looked_at[_LOOKED_AT::_LOOKED_AT]
    return np.unique(np.concatenate([chosen, chosen + np.int64(1)]))


def _run(bounds: Keys, keys: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
    found = np.searchsorted(bounds, keys.astype(np.int64, copy=False), side="right")
    return found.astype(np.uint16 if len(bounds) < 2**16 else np.uint32)  # the fewer bits, the faster they are sorted


def similarity_order(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """An order of vectors, shape (k,), in which neighbours are alike.

    Cuts the set in half along its principal axis, and each half again: O(k d log k), where a chain of nearest
    neighbours would take O(k² d).
    """
    order = np.arange(len(vectors))
    pending = [(0, len(vectors))]
    with threadpool_limits(1):  # the number of threads must not change how BLAS rounds
        while pending:
            start, end = pending.pop()
            if end - start < 3:
                continue
            part = vectors[order[start:end]].astype(np.float64)
            part -= part.mean(axis=0)
            order[start:end] = order[start:end][np.argsort(part @ _principal_axis(part), kind="stable")]
            middle = (start + end) // 2
            pending += [(start, middle), (middle, end)]
    return order


def _principal_axis(part: npt.NDArray[np.float64], steps: int = 12) -> npt.NDArray[np.float64]:
    """Leading right singular vector, nearly, by power iteration from the row of largest norm."""
    axis = part[np.argmax(np.einsum("ij,ij->i", part, part))]
    for _ in range(steps):
        norm = np.linalg.norm(axis)
        if norm == 0:
            break
        axis = part.T @ (part @ (axis / norm))
    return axis
