"""Many clusters: ours beside faiss.Kmeans with the kernel that tithe chooses, on the same made points of 256 dimensions.

The made points are unit vectors around 3,000 means of very different weight (`precomputed`), hard for a search by cells:
most means are far from everything else. Costs are those of exact assignment, on 100,000 of the points. faiss makes 25
iterations over all points; ours sees `training_points`. Of two million points and 20,000 clusters, which take faiss
hours, it makes one iteration, and its seconds are that one's times 25, unless TITHE_LARGE_K=full is set: then it makes
all, and their cost is compared.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import numpy as np

from tests.benchmarks.common import Table
from tests.benchmarks.precomputed import made_vectors
from tests.clusters import cluster
from tithe.selection.clustering.kmeans import train, training_points
from tithe.selection.clustering.nearest import search_all
from tithe.selection.embedding.vector_file import BLOCK
from tithe.selection.engine.blas import load_faiss
from tithe.selection.engine.threads import workers

ITERATIONS = 25

# Points and clusters, the points that ours trains on at most, and the iterations of faiss by default.
# In the second row both have as many points a cluster as with two million and 20,000.
SIZES = (
    (200_000, 5_000, 200_000, ITERATIONS),
    (409_600, 4_096, 214_748, ITERATIONS),
    (2_000_000, 20_000, training_points(20_000), 1),
)

# Points on which costs are compared.
COMPARED = 100_000


def run(sizes: tuple[tuple[int, int, int, int], ...] = SIZES) -> list[Table]:
    """One table: a row for each size; what is known so far is printed on the way."""
    full = os.environ.get("TITHE_LARGE_K") == "full"
    rows: Table = []
    for n, k, training, iterations in sizes:
        rows.append(_row(n, k, training, ITERATIONS if full else iterations))
        print(rows[-1], flush=True)
    return [rows]


def run_quick() -> list[Table]:
    """The smallest size alone, and faiss's time from one iteration."""
    return run(((*SIZES[0][:3], 1),))


def _row(n: int, k: int, training: int, iterations: int) -> dict[str, object]:
    points = np.empty((n, 256), np.float32)
    for at, vectors in zip(range(0, n, 100_000), made_vectors(n), strict=True):
        points[at : at + len(vectors)] = vectors

    def blocks() -> Iterator[np.ndarray]:
        return (points[at : at + BLOCK] for at in range(0, n, BLOCK))

    start = time.perf_counter()
    sample = points[np.random.default_rng(0).permutation(n)[:training]]
    centroids = train(sample, k, seed=0)
    trained = time.perf_counter() - start
    print(f"{n:,} points, {k:,} clusters: trained in {trained:,.0f} s", flush=True)
    start = time.perf_counter()
    found = cluster(blocks, centroids, trial=sample)
    assigned = time.perf_counter() - start
    del sample
    quality = found.search
    row: dict[str, object] = {
        "points": n,
        "k": k,
        "trained on": min(training, n),
        "train s": trained,
        "assign s": assigned,
        "assign s a million": assigned / n * 1e6,
        "recall": "exact" if quality is None else f"{quality.recall:.3f}",
        "cost of assignment": "1" if quality is None else f"{quality.cost_ratio:.4f}",
    }
    print(row, flush=True)
    some = points[np.random.default_rng(1).choice(n, min(n, COMPARED), replace=False)]
    faiss = load_faiss()
    faiss.omp_set_num_threads(workers())
    kmeans = faiss.Kmeans(256, k, niter=iterations, seed=1, max_points_per_centroid=n, min_points_per_centroid=1)
    start = time.perf_counter()
    kmeans.train(points)
    seconds = (time.perf_counter() - start) * ITERATIONS / iterations
    row["faiss train s"] = seconds
    row["times as fast"] = seconds / trained
    row["faiss iterations run"] = iterations
    costs = [float(search_all(some, targets)[1].sum(dtype=np.float64)) for targets in (centroids, kmeans.centroids)]
    row["cost relative to faiss"] = costs[0] / costs[1] if iterations == ITERATIONS else ""
    return row
