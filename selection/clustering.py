"""k-means over a stream of embeddings, by FAISS's exact search.

The Lloyd iterations are here, not in `faiss.Kmeans`, for two reasons that `tests/benchmarks` measures: centroids
learn on growing parts of the sample, which reaches the same cost in a fraction of the time; and every search runs
on one thread over a block of fixed size, with the blocks spread over the cores, so that the result does not
depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from tithe.selection.blas import load_faiss
from tithe.selection.parallel import ordered_map
from tithe.selection.per_record import totals

Vectors = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int32]

# Training points a centre, as in faiss.Kmeans: more hardly lowers the cost.
POINTS_PER_CENTRE = 256

# Records a search handles at once. Fixed: BLAS rounds the rows at the edge of a block differently.
BLOCK = 16_384

# Share of the sample and iterations of each stage of the training: 7 passes over the sample where faiss.Kmeans
# makes 25, at the same cost, since the start is better.
_STAGES = ((1 / 4, 12), (1.0, 4))

_SEEDING_ROUNDS = 8


@dataclass(frozen=True)
class Clustering:
    """Every record's cluster, and the record at the centre of each cluster."""

    labels: Labels
    """Cluster of each record, shape (n,)."""
    squared_distances: npt.NDArray[np.float32]
    """Squared Euclidean distance of each record to the centre of its cluster, shape (n,)."""
    centres: npt.NDArray[np.int64]
    """Position of the record nearest to the centroid of each cluster, shape (k,)."""
    centre_vectors: Vectors
    """Embeddings of the centres, shape (k, d)."""
    cost: float
    """k-means cost: the sum of squared distances to the nearest centroid."""

    @property
    def k(self) -> int:
        return len(self.centres)

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        return totals(self.labels, self.k).astype(np.int64)


def train(sample: Vectors, k: int, *, seed: int, advance: Callable[[int], object] = lambda n: None) -> Vectors:
    """Centroids of shape (k, d) by Lloyd's algorithm on a sample in random order, shape (m, d) with m >= k.

    Starts from records spread out by `_spread_out`; the first iterations see a small part of the sample, the last
    ones all of it.
    `advance` is told of every record visited (see `training_visits`).
    """
    if not 1 <= k <= len(sample):
        raise ValueError(f"{k} clusters need at least {k} records, not {len(sample)}")
    rng = np.random.default_rng(seed)
    centroids = _spread_out(sample[: _stages(len(sample), k)[0][0]], k, rng)
    for points, iterations in _stages(len(sample), k):
        part = sample[:points]
        previous = None
        for _ in range(iterations):
            labels, _ = search_all(part, centroids, advance)
            if previous is not None and np.array_equal(labels, previous):
                break
            centroids = _means(part, labels, centroids)
            _split_large(centroids, np.bincount(labels, minlength=k), rng)
            previous = labels
    return centroids


def training_visits(points: int, k: int) -> int:
    """How many records `train` visits at most, over all iterations."""
    return sum(part * iterations for part, iterations in _stages(points, k))


def search_all(
    points: Vectors, centroids: Vectors, advance: Callable[[int], object] = lambda n: None
) -> tuple[Labels, npt.NDArray[np.float32]]:
    """Nearest centroid of each point, and the squared distance to it; both of shape (m,)."""
    found = list(_search(_cut(points), centroids, advance))
    labels = np.concatenate([labels[:, 0] for labels, _ in found])
    return labels, np.concatenate([distances[:, 0] for _, distances in found])


def cluster(
    blocks: Callable[[], Iterable[Vectors]], centroids: Vectors, *, advance: Callable[[int], object] = lambda n: None
) -> Clustering:
    """Assign every record to its nearest centroid, make the nearest record the centre, measure distances to it.

    `blocks` gives the embeddings, in order, in blocks of at most BLOCK rows; it is called twice. Clusters
    without a record are dropped and the others renumbered in their order. The distances are to the centre, as
    Algorithm 1 of Axiotis et al. (2024) asks, hence the second pass; `advance` is told of each record in each.
    """
    labels, centres, centre_vectors, cost = _assign(blocks(), centroids, advance)
    kept = np.flatnonzero(centres >= 0)
    renumbered = np.full(len(centroids), -1, np.int32)
    renumbered[kept] = np.arange(len(kept), dtype=np.int32)
    labels = renumbered[labels]
    centre_vectors = centre_vectors[kept]
    distances = np.empty(len(labels), np.float32)
    at = 0

    def measure(item: tuple[Vectors, Labels]) -> npt.NDArray[np.float32]:
        block, label = item
        difference = block - centre_vectors[label]
        return np.einsum("ij,ij->i", difference, difference)

    def labelled() -> Iterable[tuple[Vectors, Labels]]:
        start = 0
        for block in blocks():
            yield block, labels[start : start + len(block)]
            start += len(block)

    for distance in ordered_map(measure, labelled()):
        distances[at : at + len(distance)] = distance
        at += len(distance)
        advance(len(distance))
    return Clustering(labels, distances, centres[kept], centre_vectors, cost)


def neighbours(vectors: Vectors, count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """For each vector the `count` nearest others, nearest first: positions and squared distances, both (k, count).

    1 <= count < k.
    """
    found = list(_search(_cut(vectors), vectors, neighbours=count + 1))
    positions = np.concatenate([block for block, _ in found]).astype(np.int64)
    squared = np.concatenate([block for _, block in found]).astype(np.float64)
    # A vector finds itself first, unless others are equal to it.
    itself = positions == np.arange(len(vectors))[:, None]
    itself[~itself.any(axis=1), -1] = True
    shape = (len(vectors), count)
    return positions[~itself].reshape(shape), np.maximum(squared[~itself], 0.0).reshape(shape)


def _spread_out(points: Vectors, k: int, rng: np.random.Generator) -> Vectors:
    """k of the points, far from one another: k-means++ in rounds.

    Arthur & Vassilvitskii (2007) draw each point in proportion to its squared distance to those drawn before;
    here a round draws k / ROUNDS at once, as in Bahmani et al. (2012), so the whole costs one search of k centroids.
    """
    chosen = np.sort(rng.choice(len(points), -(-k // _SEEDING_ROUNDS), replace=False))
    nearest = np.full(len(points), np.inf, np.float32)
    drawn = [chosen]
    while (left := k - sum(map(len, drawn))) > 0:
        _, found = search_all(points, points[drawn[-1]])
        np.minimum(nearest, found, out=nearest)
        nearest[drawn[-1]] = 0.0
        mass = nearest.astype(np.float64)
        take = min(left, len(drawn[0]), np.count_nonzero(mass))
        if take == 0:  # fewer than k different points: any will do, empty clusters are dropped later
            rest = np.setdiff1d(np.arange(len(points)), np.concatenate(drawn))
            drawn.append(rest[:left])
            break
        drawn.append(np.sort(rng.choice(len(points), take, replace=False, p=mass / mass.sum())))
    return points[np.concatenate(drawn)]


def _stages(points: int, k: int) -> list[tuple[int, int]]:
    # A part with few points a centre would only fit noise.
    return [(max(min(points, 8 * k), int(points * share)), iterations) for share, iterations in _STAGES]


def _cut(vectors: Vectors) -> Iterable[Vectors]:
    return (vectors[start : start + BLOCK] for start in range(0, len(vectors), BLOCK))


def _search(
    blocks: Iterable[Vectors],
    targets: Vectors,
    advance: Callable[[int], object] = lambda n: None,
    *,
    neighbours: int = 1,
) -> Iterable[tuple[Labels, npt.NDArray[np.float32]]]:
    """Positions of the nearest targets and squared distances to them for each block, both (rows, neighbours)."""
    faiss = load_faiss()
    index = faiss.IndexFlatL2(targets.shape[1])
    index.add(targets)

    def search(block: Vectors) -> tuple[Labels, npt.NDArray[np.float32]]:
        distances, positions = index.search(block, neighbours)
        return positions.astype(np.int32), distances

    # One thread for each search: the number of threads must not change how BLAS rounds.
    for found in ordered_map(search, blocks, initializer=partial(faiss.omp_set_num_threads, 1)):
        advance(len(found[0]))
        yield found


def _assign(
    blocks: Iterable[Vectors], centroids: Vectors, advance: Callable[[int], object]
) -> tuple[Labels, npt.NDArray[np.int64], Vectors, float]:
    """Labels, the nearest record to each centroid (-1: none) with its embedding, and the cost."""
    k = len(centroids)
    centres = np.full(k, -1, np.int64)
    centre_vectors = np.zeros_like(centroids)
    nearest = np.full(k, np.inf, np.float32)
    labels: list[Labels] = []
    cost, start = 0.0, 0
    in_search: list[Vectors] = []  # the blocks that _search has taken and not yet answered

    def remembered() -> Iterable[Vectors]:
        for block in blocks:
            in_search.append(block)
            yield block

    for labels_found, distances in _search(remembered(), centroids, advance):
        label, distance = labels_found[:, 0], distances[:, 0]
        block = in_search.pop(0)
        order = np.lexsort((distance, label))
        first = order[np.flatnonzero(np.diff(label[order], prepend=-1))]
        better = first[distance[first] < nearest[label[first]]]
        nearest[label[better]] = distance[better]
        centres[label[better]] = start + better
        centre_vectors[label[better]] = block[better]
        labels.append(label)
        cost += float(distance.sum(dtype=np.float64))
        start += len(block)
    return np.concatenate(labels), centres, centre_vectors, cost


def _means(points: Vectors, labels: Labels, previous: Vectors) -> Vectors:
    """Mean of the points of each cluster, the previous centroid where it has none; shape (k, d)."""
    counts = np.bincount(labels, minlength=len(previous)).astype(np.float32)[:, None]
    members = csr_matrix(
        (np.ones(len(labels), np.float32), (labels, np.arange(len(labels)))), shape=(len(previous), len(labels))
    )
    return np.where(counts > 0, (members @ points) / np.maximum(counts, 1), previous)


def _split_large(centroids: Vectors, sizes: npt.NDArray[np.int64], rng: np.random.Generator) -> None:
    """Give every centroid without points a place beside one with many, chosen in proportion to size - 1.

    As faiss does: both are moved by 1/1024 in opposite directions, so that they share the points next time.
    """
    empty = np.flatnonzero(sizes == 0)
    spare = np.maximum(sizes - 1, 0).astype(np.float64)
    for centroid in empty:
        if spare.sum() <= 0:
            break
        donor = rng.choice(len(spare), p=spare / spare.sum())
        shift = np.where(np.arange(centroids.shape[1]) % 2 == 0, 1 / 1024, -1 / 1024).astype(np.float32)
        centroids[centroid] = centroids[donor] * (1 + shift)
        centroids[donor] = centroids[donor] * (1 - shift)
        spare[donor] = spare[centroid] = max(spare[donor] / 2, 0)
