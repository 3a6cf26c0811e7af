"""k-means over a stream: cost, centres, independence of threads, and data without structure."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.clusters import cluster
from tithe.selection.clustering.kmeans import Clustering, train, training_searches, training_visits
from tithe.selection.clustering.nearest import search_all
from tithe.selection.embedding.vector_file import BLOCK
from tithe.selection.engine.blas import load_faiss

Blocks = Callable[[], Iterator[np.ndarray]]


def mixture(n: int, d: int, components: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    means = rng.standard_normal((components, d))
    points = means[rng.integers(components, size=n)] + 0.5 * rng.standard_normal((n, d))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def blocks(points: np.ndarray, size: int = BLOCK) -> Blocks:
    return lambda: (points[start : start + size] for start in range(0, len(points), size))


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    return mixture(20_000, 32, 60, 0)


@pytest.fixture(scope="module")
def clustering(points: np.ndarray) -> Clustering:
    order = np.random.default_rng(1).permutation(len(points))
    return cluster(blocks(points), train(points[order], 50, seed=0))


def test_every_record_belongs_to_a_cluster_and_every_cluster_has_one(clustering: Clustering) -> None:
    assert clustering.labels.shape == clustering.squared_distances.shape == (20_000,)
    assert clustering.sizes.sum() == 20_000
    assert clustering.sizes.min() >= 1
    assert clustering.k == len(clustering.centre_vectors) <= 50


def test_centres_are_members_of_their_clusters_and_distances_are_to_them(
    points: np.ndarray, clustering: Clustering
) -> None:
    np.testing.assert_array_equal(clustering.labels[clustering.centres], np.arange(clustering.k))
    np.testing.assert_array_equal(clustering.centre_vectors, points[clustering.centres])
    exact = ((points - points[clustering.centres[clustering.labels]]) ** 2).sum(axis=1)
    np.testing.assert_allclose(clustering.squared_distances, exact, rtol=1e-4, atol=1e-6)
    assert (clustering.squared_distances[clustering.centres] == 0).all()


def test_the_centre_is_the_record_nearest_to_the_centroid(points: np.ndarray) -> None:
    centroids = train(points, 20, seed=3)
    found = cluster(blocks(points), centroids)
    labels = np.argmin(((points[:, None] - centroids[None]) ** 2).sum(axis=2), axis=1)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        distances = ((points[members] - centroids[label]) ** 2).sum(axis=1)
        centre = members[np.argmin(distances)]
        assert found.centres[found.labels[centre]] in members[distances <= distances.min() + 1e-5]


def test_the_cost_is_that_of_faiss_kmeans_or_lower(points: np.ndarray) -> None:
    faiss = load_faiss()
    ours, theirs = [], []
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(len(points))
        ours.append(search_all(points, train(points[order], 50, seed=seed))[1].sum())
        kmeans = faiss.Kmeans(32, 50, niter=25, seed=seed + 1, max_points_per_centroid=1000)
        kmeans.train(points)
        theirs.append(kmeans.index.search(points, 1)[0].sum())
    assert np.mean(ours) <= 1.01 * np.mean(theirs)


def test_how_the_stream_is_cut_changes_nothing_a_user_sees(points: np.ndarray) -> None:
    centroids = train(points, 30, seed=0)
    whole, cut = cluster(blocks(points), centroids), cluster(blocks(points, 999), centroids)
    assert (whole.labels == cut.labels).mean() > 0.999
    assert whole.cost == pytest.approx(cut.cost, rel=1e-4)


@pytest.mark.parametrize("kernel", ["Haswell", "SkylakeX"])
def test_the_number_of_threads_changes_no_bit(kernel: str) -> None:
    if kernel == "SkylakeX" and "avx512bw" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("this CPU has no AVX-512")
    script = (
        "import hashlib, numpy as np\n"
        "from tests.clusters import cluster\nfrom tithe.selection.clustering.kmeans import train, BLOCK\n"
        "x = np.random.default_rng(0).standard_normal((40_000, 96), dtype=np.float32)\n"
        "c = cluster(lambda: (x[i:i + BLOCK] for i in range(0, len(x), BLOCK)), train(x, 100, seed=0))\n"
        "h = hashlib.sha256(c.labels.tobytes() + c.squared_distances.tobytes() + c.centres.tobytes())\n"
        "print(h.hexdigest(), c.cost)\n"
    )
    printed = set()
    for threads in ("1", "2", "3"):
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_CORETYPE": kernel}
        run = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
        )
        printed.add(run.stdout)
    assert len(printed) == 1


@pytest.mark.parametrize("n", [1, 2, 7])
def test_records_that_are_all_the_same_make_one_cluster_at_distance_zero(n: int) -> None:
    points = np.ones((n, 8), np.float32)
    found = cluster(blocks(points), train(points, min(n, 3), seed=0))
    assert found.sizes.sum() == n
    assert found.squared_distances.max() == 0
    assert found.cost == pytest.approx(0, abs=1e-4)


def test_as_many_clusters_as_records() -> None:
    points = mixture(40, 16, 40, 2)
    found = cluster(blocks(points), train(points, 40, seed=0))
    assert found.k == 40
    assert found.squared_distances.max() < 1e-6


def test_zero_vectors_are_records_like_others() -> None:
    points = np.concatenate([np.zeros((50, 8), np.float32), mixture(200, 8, 4, 3)])
    found = cluster(blocks(points), train(np.random.default_rng(0).permutation(points), 6, seed=0))
    assert len(set(found.labels[:50].tolist())) == 1
    assert found.squared_distances[:50].max() < 1e-6


def test_more_clusters_than_records_are_refused() -> None:
    with pytest.raises(ValueError, match="5 clusters"):
        train(np.ones((4, 2), np.float32), 5, seed=0)


def test_progress_counts_no_more_than_was_announced(points: np.ndarray) -> None:
    visits: list[int] = []
    train(points[:3000], 20, seed=0, advance=visits.append)
    assert 3000 <= sum(visits) <= training_visits(3000, 20)


@pytest.mark.parametrize("k", [4095, 4096, 20_000])
def test_searches_of_the_training_are_its_visits_and_the_seeding(k: int) -> None:
    points = 50 * k
    anew, hinted, searches = training_searches(points, k)
    seeding = anew + hinted - training_visits(points, k)
    assert 0 < seeding < training_visits(points, k)
    # Only by cells does a search start from hints, in all iterations but the first of each stage.
    assert (hinted > anew > 0) is (searches > 0) is (k >= 4096)
