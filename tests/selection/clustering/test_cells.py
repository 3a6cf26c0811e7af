"""Search by cells: nearly as good as the exact search, said to be as good as it is, and the same on any number of threads."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from tests.clusters import cluster
from tithe.selection.clustering import cells
from tithe.selection.clustering.cells import CellSearch, make_hinted_search, make_search
from tithe.selection.clustering.kmeans import train
from tithe.selection.clustering.nearest import search_all
from tithe.selection.embedding.vector_file import BLOCK

TOLERANCE = 0.01


@pytest.fixture(autouse=True)
def _few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "LARGE", 400)


def nested(n: int, seed: int, d: int = 32) -> np.ndarray:
    """Unit vectors in 20 groups of 30 clusters each."""
    rng = np.random.default_rng(seed)
    groups = np.random.default_rng(0).standard_normal((20, 1, d))
    means = (groups + 0.5 * np.random.default_rng(1).standard_normal((20, 30, d))).reshape(-1, d)
    points = means[rng.integers(len(means), size=n)] + 0.25 * rng.standard_normal((n, d))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def blocks(points: np.ndarray) -> Callable[[], Iterator[np.ndarray]]:
    return lambda: (points[start : start + BLOCK] for start in range(0, len(points), BLOCK))


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    return nested(20_000, 2)


@pytest.fixture(scope="module")
def centroids(points: np.ndarray) -> np.ndarray:
    return train(points[:10_000], 800, seed=0)


def test_few_targets_are_searched_exactly_to_the_last_bit(points: np.ndarray) -> None:
    targets = points[:399]
    searched = search_all(points, make_search(targets, points, TOLERANCE))
    for ours, exact in zip(searched, search_all(points, targets), strict=True):
        np.testing.assert_array_equal(ours, exact)


def test_what_cells_find_costs_hardly_more_than_the_nearest(points: np.ndarray, centroids: np.ndarray) -> None:
    search = make_search(centroids, points, TOLERANCE)
    assert isinstance(search, CellSearch)
    assert search.probes < 20
    new = nested(20_000, 3)
    labels, squared = search_all(new, search)
    nearest, least = search_all(new, centroids)
    assert (labels == nearest).mean() > 0.95
    assert squared.sum() < (1 + 2 * TOLERANCE) * least.sum()
    np.testing.assert_allclose(squared, ((new - centroids[labels]) ** 2).sum(axis=1), rtol=1e-4, atol=1e-6)


def test_a_search_from_hints_finds_nothing_worse_than_the_hints(points: np.ndarray, centroids: np.ndarray) -> None:
    hints, least = search_all(points, centroids)
    search = make_hinted_search(centroids)
    _, squared = search_all(points, search, hints=hints)
    np.testing.assert_allclose(squared, least, rtol=1e-3, atol=1e-5)
    hints[::2] = 0
    _, squared = search_all(points, search, hints=hints)
    assert squared.sum() < 1.05 * least.sum()


def test_points_without_structure_cost_hardly_more_either() -> None:
    rng = np.random.default_rng(0)
    targets, points = (rng.standard_normal((n, 100), dtype=np.float32) for n in (500, 5000))
    _, squared = search_all(points, make_search(targets, points, TOLERANCE))
    assert squared.sum() < (1 + 2 * TOLERANCE) * search_all(points, targets)[1].sum()


def test_training_by_cells_costs_what_exact_training_costs(points: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    costs = []
    for large in (400, 10_000):
        monkeypatch.setattr(cells, "LARGE", large)
        costs.append(search_all(points, train(points[:8000], 500, seed=0))[1].sum())
    assert costs[0] < 1.02 * costs[1]


def test_the_stated_quality_is_that_of_all_records(points: np.ndarray, centroids: np.ndarray) -> None:
    found = cluster(blocks(points), centroids, trial=points)
    assert found.search is not None
    _, least = search_all(points, centroids)
    assert found.search.cost_ratio == pytest.approx(found.cost / least.sum(), abs=0.01)
    kept = np.unique(search_all(points, make_search(centroids, points, 0.005))[0])
    recall = (kept[found.labels] == search_all(points, centroids)[0]).mean()
    assert found.search.recall == pytest.approx(recall, abs=0.02)
    assert found.search.measured_on == 8192
    assert cluster(blocks(points), centroids).search is None


def test_the_centre_is_the_nearest_record_of_its_cluster(points: np.ndarray, centroids: np.ndarray) -> None:
    found = cluster(blocks(points), centroids, trial=points)
    np.testing.assert_array_equal(found.labels[found.centres], np.arange(found.k))
    labels, squared = search_all(points, make_search(centroids, points, 0.005))
    least = np.full(len(centroids), np.inf)
    np.minimum.at(least, labels, squared)
    np.testing.assert_allclose(squared[found.centres], least[labels[found.centres]], rtol=1e-5)
    assert found.k == len(np.unique(labels))


def test_the_number_of_threads_changes_no_bit() -> None:
    script = (
        "import hashlib, numpy as np\n"
        "from tithe.selection.clustering import cells\n"
        "from tests.clusters import cluster\nfrom tithe.selection.clustering.kmeans import train, BLOCK\n"
        "cells.LARGE = 400\n"
        "rng = np.random.default_rng(0)\n"
        "x = rng.standard_normal((100, 48), dtype=np.float32)[rng.integers(100, size=20_000)]\n"
        "x += rng.standard_normal((20_000, 48), dtype=np.float32) / 2\n"
        "c = cluster(lambda: (x[i:i + BLOCK] for i in range(0, len(x), BLOCK)), train(x[:6000], 500, seed=0), trial=x)\n"
        "h = hashlib.sha256(c.labels.tobytes() + c.squared_distances.tobytes() + c.centres.tobytes())\n"
        "print(h.hexdigest(), c.cost, c.search)\n"
    )
    printed = set()
    for threads in ("1", "2", "3"):
        environment = {**os.environ, "OMP_NUM_THREADS": threads}
        run = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
        )
        printed.add(run.stdout)
    assert len(printed) == 1
    assert "recall" in printed.pop()


@pytest.mark.parametrize("different", [1, 7, 450])
def test_fewer_different_records_than_clusters_lie_on_their_centres(different: int) -> None:
    points = nested(different, 4)[np.random.default_rng(0).integers(different, size=3000)]
    found = cluster(blocks(points), train(points, 500, seed=0), trial=points)
    assert found.squared_distances.max() < 1e-6
    assert found.sizes.min() >= 1
    assert found.search is None or found.search.cost_ratio < 1.01


def test_as_many_clusters_as_records() -> None:
    points = nested(600, 5)
    found = cluster(blocks(points), train(points, 600, seed=0), trial=points)
    assert found.k == 600
    assert found.squared_distances.max() < 1e-6
