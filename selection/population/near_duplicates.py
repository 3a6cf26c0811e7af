"""`--dedup-near`: of the records of a cluster that are nearly alike one stays, and stands for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from tithe.selection.arrays import Copies, Positions, Vectors
from tithe.selection.clustering.order import stable_order
from tithe.selection.engine.stages import Advance

# Vectors that are read at once, unless one cluster has more.
_TOGETHER = 1 << 19

# Vectors that are compared with one another at once.
_BLOCK = 1024


def merge_near(
    copies: Copies,
    take: Callable[[Positions], Vectors],
    labels: npt.NDArray[np.int32],
    threshold: float,
    preferred: Positions,
    advance: Advance = lambda count: None,
) -> None:
    """Move copies, in place, from records to one of their cluster whose cosine with them is at least the threshold.

    In the corpus's order each record goes to the most alike of those that stay, or stays itself; those `preferred`
    stay in any case. Compares all records of a cluster that stay with all of its records.

    Args:
        copies: how many records each one stands for, shape (n,); those of 0 take no part.
        take: gives the embeddings of some of the n records, ascending.
        labels: their clusters, shape (n,).
        threshold: above 0, at most 1.
        preferred: positions of some of them, ascending.
        advance: told of the records as the work goes on.
    """
    for clusters in _batches(labels):
        members = [cluster[copies[cluster] > 0] for cluster in clusters]
        positions = np.sort(np.concatenate(members))
        vectors = unit(take(positions))
        for cluster in members:
            stays = np.isin(cluster, preferred, assume_unique=True)
            cluster = np.concatenate([cluster[stays], cluster[~stays]])
            leaders = leaders_of(vectors[np.searchsorted(positions, cluster)], threshold, int(stays.sum()))
            goes = leaders != np.arange(len(cluster))
            np.add.at(copies, cluster[leaders[goes]], copies[cluster[goes]])
            copies[cluster[goes]] = 0
        advance(sum(map(len, clusters)))


def leaders_of(vectors: Vectors, threshold: float, first: int = 0) -> Positions:
    """For each of m unit vectors the one that stands for it, itself or an earlier one; shape (m,).

    The `first` ones stand for themselves.
    """
    found = np.arange(len(vectors))
    leading = np.arange(first)
    for start in range(first, len(vectors), _BLOCK):
        block = np.arange(start, min(start + _BLOCK, len(vectors)))
        if len(leading):
            likeness = vectors[block] @ vectors[leading].T
            best = likeness.argmax(axis=1)
            near = likeness[np.arange(len(block)), best] >= threshold
            found[block[near]] = leading[best[near]]
            block = block[~near]
        near = np.triu(vectors[block] @ vectors[block].T >= threshold, 1)
        for i in np.flatnonzero(near.any(axis=1)).tolist():
            if found[block[i]] == block[i]:
                followers = block[near[i]]
                followers = followers[found[followers] == followers]
                found[followers] = block[i]
        leading = np.concatenate([leading, block[found[block] == block]])
    return found


def _batches(labels: npt.NDArray[np.int32]) -> Iterator[list[Positions]]:
    """The members of the clusters, several clusters at a time."""
    order = stable_order(labels)
    ends = np.cumsum(np.bincount(labels))
    start, batch = 0, []
    for cluster, end in enumerate(ends.tolist()):
        begin = 0 if cluster == 0 else int(ends[cluster - 1])
        batch.append(order[begin:end].astype(np.int64))
        if end - start >= _TOGETHER:
            yield batch
            start, batch = end, []
    if batch:
        yield batch


def unit(vectors: Vectors) -> Vectors:
    """The vectors, shape (m, d), brought to length 1; a zero vector stays."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    norms[norms == 0] = 1
    return vectors / norms
