"""What the clustering does for one partition of a corpus, wherever that is; as `partition_work`."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from tithe.selection.arrays import Labels, Vectors
from tithe.selection.clustering import kmeans
from tithe.selection.clustering.kmeans import Assignment
from tithe.selection.clustering.nearest import Search
from tithe.selection.embedding.embeddings import LookedUpEmbeddings
from tithe.selection.embedding.lookup import Embedded
from tithe.selection.embedding.partition_work import Task
from tithe.selection.engine.stages import Advance

_made: dict[str, Search] = {}


def assign(
    task: Task, known: Embedded, centroids: Vectors, trial: Vectors, *, advance: Advance
) -> tuple[Embedded, Assignment]:
    """The nearest centroid of each record; and which records are usable, since each was looked at."""
    embeddings = task.embeddings(known)
    found = kmeans.assign(embeddings.blocks(), centroids, search=_search(centroids, trial), advance=advance)
    if isinstance(embeddings, LookedUpEmbeddings):
        known = replace(known, bad=embeddings.bad.rows(), places=tuple(embeddings.bad.places))
    return known, found


def distances(
    task: Task, known: Embedded, labels: Labels, centres: Vectors, *, advance: Advance
) -> npt.NDArray[np.float32]:
    """Squared distances of the records to the centres of their clusters."""
    found = [np.empty(0, np.float32)]
    start = 0

    def labelled() -> Any:
        nonlocal start
        for block in task.embeddings(known).blocks():
            yield block, labels[start : start + len(block)]
            start += len(block)

    with threadpool_limits(1, "blas"):
        for block in kmeans.distances_to(centres, labelled()):
            found.append(block)
            advance(len(block))
    return np.concatenate(found)


def _search(centroids: Vectors, trial: Vectors) -> Search:
    """The search for the nearest centroid: a process makes it once, since many centroids take seconds."""
    name = hashlib.blake2b(np.ascontiguousarray(centroids).data, digest_size=16).hexdigest()
    if name not in _made:
        _made.clear()
        with threadpool_limits(1, "blas"):
            _made[name] = kmeans.final_search(centroids, trial)
    return _made[name]
