"""k-means training: ours beside faiss.Kmeans, both with the kernel that tithe chooses, on the same sample.

256,000 points, k = 1,000, d = 256; cost on the points themselves, relative to faiss. Made data: unit vectors around
3,000 means of very different weight; and T0's lexical embeddings (k = 300) where TITHE_DATA is set.
"""

from __future__ import annotations

import time

import numpy as np

from tests.benchmarks.common import Table, data
from tests.benchmarks.lexical import _t0, embed_lexical
from tests.benchmarks.precomputed import made_vectors
from tithe.selection.clustering.kmeans import train
from tithe.selection.clustering.nearest import search_all
from tithe.selection.engine.blas import load_faiss


def run() -> list[Table]:
    """One table: a row for each data set and seed."""
    rows: Table = []
    made = np.concatenate(list(made_vectors(256_000)))
    sets = [("made", made, 1000)]
    if (t0 := data("t0.parquet")) is not None:
        sets.append(("T0", embed_lexical(_t0(t0)[0], 0)[0], 300))
    for name, points, k in sets:
        for seed in (0, 1, 2):
            rows.append({"data": name, "k": k, "seed": seed, **_compare(points, k, seed)})
    return [rows]


def _compare(points: np.ndarray, k: int, seed: int) -> dict[str, object]:
    faiss = load_faiss()
    shuffled = np.random.default_rng(seed).permutation(points)
    start = time.perf_counter()
    ours = train(shuffled, k, seed=seed)
    middle = time.perf_counter()
    kmeans = faiss.Kmeans(points.shape[1], k, niter=25, seed=seed + 1, max_points_per_centroid=len(points))
    kmeans.train(shuffled)
    end = time.perf_counter()
    costs = [float(search_all(points, centroids)[1].sum()) for centroids in (ours, kmeans.centroids)]
    return {
        "ours s": middle - start,
        "faiss.Kmeans s": end - middle,
        "times as fast": (end - middle) / (middle - start),
        "cost relative to faiss": costs[0] / costs[1],
    }
