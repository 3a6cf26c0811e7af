"""Search among many targets that looks only at those in the cells near a point.

The targets are gathered in about 8 √k cells. A point is compared with the means of all cells and with the targets of
the few cells whose means are nearest, and of the cell of its hint. How few, a trial tells: the fewest that find targets
hardly farther than the nearest. All points of a block that look into a cell do so at once, in one matrix product, by
NumPy's BLAS: callers limit it to one thread, so that the number of threads does not change how it rounds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from tithe.selection.arrays import Labels, Vectors
from tithe.selection.clustering.nearest import Distances, Search, exact, search_all
from tithe.selection.engine.threads import ordered_map

# Targets from which on cells pay (tests/benchmarks/large_k.py).
LARGE = 4096

# Cells for each √k, and the size of the largest in terms of the average: a large one is looked into by many points.
_CELLS, _LARGEST = 8, 2

_ITERATIONS = 4

# What it takes to gather a point for a cell, in targets that it could be compared with meanwhile (measured).
_GATHERING = 26

# Cells to look into beside that of a hint.
_HINTED_PROBES = 4

# Rows of the trial compared with all targets at once.
_ROWS = 128


def make_search(targets: Vectors, trial: Vectors, tolerance: float, *, attempts: int = 1) -> Search:
    """The exact search of few targets; of many, one by cells, unless that would not be faster.

    What it finds for points like those of `trial` costs about 1 + tolerance times what the exact search finds, or less,
    in the sum of squared distances. Cells start from random targets, and how many have to be looked into depends
    on luck, by a factor of five: of some `attempts` the fastest is taken.
    """
    if len(targets) < LARGE:
        return exact(targets)
    fastest, least = exact(targets), float(len(targets))
    for attempt in range(attempts):
        cells = Cells.of(targets, attempt)
        probes = _fewest_probes(cells, trial, tolerance)
        # To gather a point for one more cell takes as long as to compare it with some more targets.
        compared = len(cells.means) + probes * (len(targets) / len(cells.means) + _GATHERING)
        if compared < least:
            fastest, least = CellSearch(cells, probes), compared
    return fastest


def make_hinted_search(targets: Vectors) -> Search:
    """The exact search of few targets; of many, one by cells for points of which the nearest target is nearly known."""
    return exact(targets) if len(targets) < LARGE else CellSearch(Cells.of(targets), _HINTED_PROBES)


@dataclass(frozen=True)
class SearchQuality:
    """What became of points whose nearest target was not looked for everywhere, measured on some of them."""

    recall: float
    """Share of the points for which the nearest target was found."""
    cost_ratio: float
    """Sum of squared distances to the targets found, over that to the nearest ones."""
    measured_on: int

    @staticmethod
    def of(points: Vectors, targets: Vectors, found: Labels) -> SearchQuality:
        """Of the targets found for points, beside the nearest."""
        nearest, _ = search_all(points, targets)
        squared, least = (
            ((points - targets[labels]) ** 2).sum(axis=1, dtype=np.float64) for labels in (found, nearest)
        )
        cost, least_cost = float(squared.sum()), float(least.sum())
        recall = float(((found == nearest) | (squared <= least)).mean())
        return SearchQuality(recall, cost / least_cost if least_cost > 0 else 1.0, len(points))


@dataclass(frozen=True)
class Cells:
    """Targets, sorted by the cell they are in."""

    targets: Vectors
    positions: npt.NDArray[np.int64]
    """Of the targets, before they were sorted."""
    bounds: npt.NDArray[np.int64]
    """Of each cell among the targets, shape (cells + 1,)."""
    means: Vectors
    cell_of: npt.NDArray[np.int64]
    """Of each target, before they were sorted."""

    @staticmethod
    def of(targets: Vectors, seed: int = 0) -> Cells:
        """Cells by a few iterations of k-means from random targets, those that came out large cut up."""
        count = min(round(_CELLS * math.sqrt(len(targets))), len(targets))
        means_ = targets[np.random.default_rng(seed).choice(len(targets), count, replace=False)]
        labels, _ = search_all(targets, means_)
        for _ in range(_ITERATIONS):
            means_ = means(targets, labels, means_)
            labels, _ = search_all(targets, means_)
        order = np.argsort(labels, kind="stable")
        ends = np.cumsum(np.bincount(labels, minlength=count))
        largest = max(_LARGEST * len(targets) // count, 1)
        parts = [part for cell in np.split(order, ends[:-1]) for part in _cut_up(targets, cell, largest)]
        sizes = [len(part) for part in parts]
        labels = np.repeat(np.arange(len(parts), dtype=np.int32), sizes)
        order = np.concatenate(parts)
        zeros = np.zeros((len(parts), targets.shape[1]), np.float32)
        cell_of = np.empty(len(targets), np.int64)
        cell_of[order] = labels
        return Cells(targets[order], order, np.cumsum([0, *sizes]), means(targets[order], labels, zeros), cell_of)


class CellSearch:
    """Search in the `probes` cells whose means are nearest to each point; see `nearest.Search`."""

    def __init__(self, cells: Cells, probes: int) -> None:
        self.probes = probes
        self._cells = cells
        self._near = exact(cells.means, probes)
        self._halves = _half_squares(cells.targets)

    def __call__(self, block: Vectors, hints: Labels | None = None) -> tuple[Labels, Distances]:
        cells = self._cells
        near = self._near(block)[0]
        if hints is not None:
            near = np.column_stack([cells.cell_of[hints], near])
        rows = np.argsort(near.ravel(), kind="stable") // near.shape[1]
        ends = np.cumsum(np.bincount(near.ravel(), minlength=len(cells.means)))
        best = np.full(len(block), -np.inf, np.float32)  # ⟨point, target⟩ - ‖target‖² / 2, largest for the nearest
        found = np.zeros(len(block), np.int64)
        for cell, (start, end) in enumerate(zip(ends - np.diff(ends, prepend=0), ends, strict=True)):
            if start == end:
                continue
            here = rows[start:end]
            members = slice(cells.bounds[cell], cells.bounds[cell + 1])
            scores = block.take(here, axis=0) @ cells.targets[members].T
            scores -= self._halves[members]
            first = scores.argmax(axis=1)
            score = scores[np.arange(len(here)), first]
            better = score > best[here]
            best[here[better]] = score[better]
            found[here[better]] = members.start + first[better]
        difference = block - cells.targets[found]
        return cells.positions[found].astype(np.int32), np.einsum("ij,ij->i", difference, difference)


def means(points: Vectors, labels: Labels, previous: Vectors) -> Vectors:
    """Mean of the points of each cluster, the previous one where it has none; shape (k, d)."""
    counts = np.bincount(labels, minlength=len(previous)).astype(np.float32)[:, None]
    members = csr_matrix(
        (np.ones(len(labels), np.float32), (labels, np.arange(len(labels)))), shape=(len(previous), len(labels))
    )
    return np.where(counts > 0, (members @ points) / np.maximum(counts, 1), previous)


def _fewest_probes(cells: Cells, trial: Vectors, tolerance: float) -> int:
    """The fewest cells to look into so that the mean squared distance is at most 1 + tolerance times the least."""
    halves, mean_halves = _half_squares(cells.targets), _half_squares(cells.means)

    def least(rows: Vectors) -> npt.NDArray[np.float64]:
        """Sums of squared distances to the nearest target in one cell, in two cells, and so on."""
        squares = np.einsum("ij,ij->i", rows, rows)[:, None]
        distances = np.maximum(squares + 2 * (halves - rows @ cells.targets.T), 0)
        order = np.argsort(mean_halves - rows @ cells.means.T, axis=1, kind="stable")
        nearest = np.minimum.reduceat(distances, cells.bounds[:-1], axis=1)
        return np.minimum.accumulate(np.take_along_axis(nearest, order, axis=1), axis=1).sum(axis=0, dtype=np.float64)

    total = np.zeros(len(cells.means))
    for sums in ordered_map(least, (trial[start : start + _ROWS] for start in range(0, len(trial), _ROWS))):
        total += sums
    return 1 + int(np.argmax(total <= (1 + tolerance) * total[-1]))


def _cut_up(vectors: Vectors, members: npt.NDArray[np.int64], largest: int) -> list[npt.NDArray[np.int64]]:
    """Members in parts of at most `largest`, halved across a direction in which they differ much; none: no part."""
    if len(members) <= largest:
        return [members] if len(members) else []
    part = vectors[members] - vectors[members].mean(axis=0)
    far = part[np.argmax(np.einsum("ij,ij->i", part, part))]
    order = members[np.argsort(part @ (part.T @ (part @ far)), kind="stable")]
    middle = len(order) // 2
    return _cut_up(vectors, order[:middle], largest) + _cut_up(vectors, order[middle:], largest)


def _half_squares(vectors: Vectors) -> Distances:
    return np.einsum("ij,ij->i", vectors, vectors) / 2
