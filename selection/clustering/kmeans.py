"""k-means over a stream of embeddings, by exact search or, for many centroids, by cells.

The Lloyd iterations are here, not in `faiss.Kmeans`, for two reasons that `tests/benchmarks` measures: centroids
learn on growing parts of the sample, which reaches the same cost in a fraction of the time; and every search runs
on one thread over a block of fixed size, with the blocks spread over the cores, so that the result does not
depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from tithe.selection.arrays import Labels, Vectors
from tithe.selection.clustering import cells
from tithe.selection.clustering.cells import CellSearch, SearchQuality, make_hinted_search, make_search, means
from tithe.selection.clustering.nearest import Search, exact, search_all, search_blocks
from tithe.selection.embedding.vector_file import BLOCK as BLOCK
from tithe.selection.engine.quantities import totals
from tithe.selection.engine.threads import ordered_map

# Training points a centre, as in faiss.Kmeans: more hardly lowers the cost. Of many centres, fewer points, so that they
# fit into memory.
POINTS_PER_CENTRE, _FEWER_POINTS = 256, 32

# Points that a sample for many centres has at least.
_MANY_POINTS = POINTS_PER_CENTRE * 4096

# Points on which the search for the records' clusters is tried out (of fewer, the luckiest attempt would be taken for
# the fastest), and a search of the training.
TRIAL, _TRAINING_TRIAL = 8192, 2048

# Share of the sample and iterations of each stage of the training: together less than 4 passes over the sample where
# faiss.Kmeans makes 25, at no higher cost, since the start is better. Twice as many passes would lower it by 0.3%.
_STAGES = ((1 / 8, 10), (1 / 2, 3), (1.0, 1))

# The same of many centroids, which have fewer points each and are found by cells, so that more passes cost little.
_STAGES_OF_MANY = ((1 / 4, 12), (1.0, 4))

# Rounds of the seeding, and points for each of many centroids that it sees.
_SEEDING_ROUNDS, _SEEDING_POINTS = 8, 8

# How much more than the nearest centroids those found by cells may cost, in training and for the records' clusters.
_TOLERANCE, _FINAL_TOLERANCE = 0.01, 0.005

# Attempts to make the search for the records' clusters, which takes long enough for it.
_FINAL_ATTEMPTS = 4

# By how much the search for the nearest centroid may err in a squared distance, relative to the squared norms.
_ROUNDING = 1e-5

# Records of which the nearest centroid is looked up to state what came of it.
_CHECKED = 8192


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
    search: SearchQuality | None = None
    """How near that centroid is to the nearest, where not every record was compared with every centroid."""

    @property
    def k(self) -> int:
        return len(self.centres)

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        return totals(self.labels, self.k).astype(np.int64)


@threadpool_limits.wrap(limits=1, user_api="blas")  # the number of threads must not change how BLAS rounds
def train(sample: Vectors, k: int, *, seed: int, advance: Callable[[int], object] = lambda n: None) -> Vectors:
    """Centroids of shape (k, d) by Lloyd's algorithm on a sample in random order, shape (m, d) with m >= k.

    Starts from records spread out by `_spread_out`; the first iterations see a small part of the sample, the last
    ones all of it. Many centroids are searched by cells, from the second iteration of a stage on starting from what
    the iteration before has found.
    `advance` is told of every record visited (see `training_visits`).
    """
    if not 1 <= k <= len(sample):
        raise ValueError(f"{k} clusters need at least {k} records, not {len(sample)}")
    rng = np.random.default_rng(seed)
    first = _stages(len(sample), k)[0][0]
    centroids = _spread_out(sample[: first if k < cells.LARGE else _SEEDING_POINTS * k], k, rng)
    for points, iterations in _stages(len(sample), k):
        part = sample[:points]
        labels, previous = None, None
        for _ in range(iterations):
            search = (
                make_search(centroids, part[:_TRAINING_TRIAL], _TOLERANCE)
                if labels is None
                else make_hinted_search(centroids)
            )
            labels, _ = search_all(part, search, advance, hints=labels)
            if previous is not None and np.array_equal(labels, previous):
                break
            centroids = means(part, labels, centroids)
            _split_large(centroids, np.bincount(labels, minlength=k), rng)
            previous = labels
    return centroids


def training_points(k: int) -> int:
    """How many records `train` should see: 256 a centre, and for more than 4,096 centres a million or 32 a centre."""
    return min(POINTS_PER_CENTRE * k, max(_MANY_POINTS, _FEWER_POINTS * k))


def training_visits(points: int, k: int) -> int:
    """How many records `train` visits at most, over all iterations."""
    return sum(part * iterations for part, iterations in _stages(points, k))


def training_searches(points: int, k: int) -> tuple[int, int, int]:
    """For how many records `train` searches among k centroids: anew, and from hints; and how many searches it makes.

    At most, where records differ. The seeding, whose rounds search among their share of the centroids, counts as one
    search among all of them, or, by cells, as a search each.
    """
    stages = _stages(points, k)
    if k < cells.LARGE:
        return stages[0][0] + training_visits(points, k), 0, 0
    anew = _SEEDING_ROUNDS * min(_SEEDING_POINTS * k, points) + sum(part for part, _ in stages)
    return anew, sum(part * (iterations - 1) for part, iterations in stages), sum(count for _, count in stages)


@dataclass(frozen=True)
class Assignment:
    """Every record's centroid, and the record nearest to each centroid."""

    labels: Labels
    """Centroid of each record, shape (n,)."""
    centroids: Vectors
    nearest: npt.NDArray[np.int64]
    """Position of the record nearest to each centroid, shape (k,); -1 where the centroid has no record."""
    nearest_vectors: Vectors
    """Embeddings of these, shape (k, d)."""
    nearest_distances: npt.NDArray[np.float32]
    """Their squared distances to the centroids, shape (k,); infinite where there is none."""
    cost: float
    by_cells: bool
    """Whether not every record was compared with every centroid."""


@threadpool_limits.wrap(limits=1, user_api="blas")
def assign(
    blocks: Iterable[Vectors],
    centroids: Vectors,
    trial: Vectors | None = None,
    *,
    search: Search | None = None,
    advance: Callable[[int], object] = lambda n: None,
) -> Assignment:
    """Assign every record to its nearest centroid.

    `blocks` are the embeddings, in order, in blocks of at most BLOCK rows. `trial` are records at random, such as those
    that the centroids learnt from: with them, many centroids are searched by cells, so that a few records are assigned
    to a centroid that is not quite the nearest. `search` is that search, where it was made before. `advance` is told of
    each record.
    """
    k = len(centroids)
    if search is None:
        search = exact(centroids) if trial is None else final_search(centroids, trial)
    centres = np.full(k, -1, np.int64)
    centre_vectors = np.zeros_like(centroids)
    nearest = np.full(k, np.inf, np.float32)
    labels: list[Labels] = []
    cost, start = 0.0, 0
    in_search: list[Vectors] = []  # the blocks that search_blocks has taken and not yet answered

    def remembered() -> Iterable[Vectors]:
        for block in blocks:
            in_search.append(block)
            yield block

    for label, distance in search_blocks(search, ((block, None) for block in remembered()), advance):
        block = in_search.pop(0)
        first, squared = _nearest_of_block(block, centroids, label, distance)
        nearer = squared < nearest[label[first]]
        better = first[nearer]
        nearest[label[better]] = squared[nearer]
        centres[label[better]] = start + better
        centre_vectors[label[better]] = block[better]
        labels.append(label)
        cost += float(distance.sum(dtype=np.float64))
        start += len(block)
    found = np.concatenate([np.empty(0, np.int32), *labels])
    return Assignment(found, centroids, centres, centre_vectors, nearest, cost, isinstance(search, CellSearch))


@dataclass
class Centres:
    """The record nearest to each centroid, of the assignments seen so far: the centre of its cluster.

    To the centre, not to the centroid, distances are measured: so asks Algorithm 1 of Axiotis et al. (2024).
    """

    positions: npt.NDArray[np.int64]
    """Shape (k,); -1 where the centroid has no record."""
    vectors: Vectors
    """Shape (k, d)."""
    distances: npt.NDArray[np.float32]
    """Squared, to the centroids; infinite where there is no record."""
    cost: float = 0.0
    by_cells: bool = False
    """Whether not every record was compared with every centroid."""
    seen: int = 0
    """Records."""

    @classmethod
    def of(cls, centroids: Vectors) -> Centres:
        """Before any record was seen."""
        k = len(centroids)
        return cls(np.full(k, -1, np.int64), np.zeros_like(centroids), np.full(k, np.inf, np.float32))

    def take(self, found: Assignment) -> None:
        """See the records that come next."""
        better = found.nearest_distances < self.distances
        self.distances[better] = found.nearest_distances[better]
        self.positions[better] = self.seen + found.nearest[better]
        self.vectors[better] = found.nearest_vectors[better]
        self.cost += found.cost
        self.by_cells |= found.by_cells
        self.seen += len(found.labels)

    @property
    def kept(self) -> npt.NDArray[np.int64]:
        """The centroids that have a record: they become clusters, in their order."""
        return np.flatnonzero(self.positions >= 0)

    @property
    def numbers(self) -> Labels:
        """The number of the cluster of each centroid, shape (k,); -1 where it has no record."""
        numbers = np.full(len(self.positions), -1, np.int32)
        numbers[self.kept] = np.arange(len(self.kept), dtype=np.int32)
        return numbers


def _nearest_of_block(
    block: Vectors, centroids: Vectors, labels: Labels, distances: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """The record nearest to each centroid that has any, and its squared distance; the first one of equal records.

    A search rounds differently at different places of a block: those that it finds about as near are compared again.
    """
    best = np.full(len(centroids), np.inf, np.float32)
    np.minimum.at(best, labels, distances)
    squares = np.einsum("ij,ij->i", block, block)
    near = np.flatnonzero(distances <= best[labels] + _ROUNDING * (squares + distances))
    difference = block[near] - centroids[labels[near]]
    exact = np.einsum("ij,ij->i", difference, difference)
    order = np.lexsort((near, exact, labels[near]))
    first = order[np.flatnonzero(np.diff(labels[near][order], prepend=-1))]
    return near[first], exact[first]


def distances_to(
    centre_vectors: Vectors, blocks: Iterable[tuple[Vectors, Labels]]
) -> Iterator[npt.NDArray[np.float32]]:
    """Squared distances of the records of each block, given with their clusters, to the centres of these."""

    def measure(item: tuple[Vectors, Labels]) -> npt.NDArray[np.float32]:
        block, label = item
        difference = block - centre_vectors[label]
        return np.einsum("ij,ij->i", difference, difference)

    return ordered_map(measure, blocks)


def _spread_out(points: Vectors, k: int, rng: np.random.Generator) -> Vectors:
    """k of the points, far from one another: k-means++ in rounds.

    Arthur & Vassilvitskii (2007) draw each point in proportion to its squared distance to those drawn before;
    here a round draws k / ROUNDS at once, as in Bahmani et al. (2012), so the whole costs one search of k centroids. Of
    equal points a round keeps one; where that leaves too few, more rounds follow.
    """
    per_round = -(-k // _SEEDING_ROUNDS)
    drawn = [_different(points, rng.choice(len(points), per_round, replace=False))]
    nearest = np.full(len(points), np.inf, np.float32)
    while (left := k - sum(map(len, drawn))) > 0:
        _, found = search_all(points, make_search(points[drawn[-1]], points[:_TRAINING_TRIAL], _TOLERANCE))
        np.minimum(nearest, found, out=nearest)
        nearest[drawn[-1]] = 0.0
        mass = nearest.astype(np.float64)
        take = min(left, per_round, np.count_nonzero(mass))
        # Hardly k different points: any will do, empty clusters are dropped later.
        if take == 0 or len(drawn) == 2 * _SEEDING_ROUNDS:
            rest = np.setdiff1d(np.arange(len(points)), np.concatenate(drawn))
            drawn.append(rest[:left])
            break
        drawn.append(_different(points, rng.choice(len(points), take, replace=False, p=mass / mass.sum())))
    return points[np.concatenate(drawn)]


def _different(points: Vectors, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Of the rows, ascending, those whose points are not equal to that of a lower one."""
    rows = np.sort(rows)
    return rows[np.sort(np.unique(points[rows], axis=0, return_index=True)[1])]


def _stages(points: int, k: int) -> list[tuple[int, int]]:
    # A part with few points a centre would only fit noise.
    stages = _STAGES if k < cells.LARGE else _STAGES_OF_MANY
    return [(max(min(points, 8 * k), int(points * share)), iterations) for share, iterations in stages]


def final_search(centroids: Vectors, trial: Vectors) -> Search:
    """The search by which records like those of `trial` are assigned."""
    return make_search(centroids, trial[:TRIAL], _FINAL_TOLERANCE, attempts=_FINAL_ATTEMPTS)


def looked_up_at_random(records: int) -> npt.NDArray[np.int64]:
    """The records of which the nearest centroid is looked up, to state what came of a search."""
    return np.sort(np.random.default_rng(0).choice(records, min(records, _CHECKED), replace=False))


def _split_large(centroids: Vectors, sizes: npt.NDArray[np.int64], rng: np.random.Generator) -> None:
    """Give every centroid without points a place beside one with many, chosen in proportion to size - 1.

    As faiss does: both are moved by 1/1024 in opposite directions, so that they share the points next time.
    """
    empty = np.flatnonzero(sizes == 0)
    spare = np.maximum(sizes - 1, 0).astype(np.float64)
    shift = np.where(np.arange(centroids.shape[1]) % 2 == 0, 1 / 1024, -1 / 1024).astype(np.float32)
    # One by one, unless each draw would take long: a donor can give more than once.
    for placed in [empty] if len(centroids) >= cells.LARGE else empty[:, None]:
        placed = placed[: np.count_nonzero(spare)]
        if len(placed) == 0:
            break
        donors = rng.choice(len(spare), len(placed), replace=False, p=spare / spare.sum())
        centroids[placed] = centroids[donors] * (1 + shift)
        centroids[donors] = centroids[donors] * (1 - shift)
        spare[donors] = spare[placed] = spare[donors] / 2
