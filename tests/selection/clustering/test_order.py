"""The order in which records are drawn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tithe.selection.clustering.kmeans import Clustering
from tithe.selection.clustering.order import sampling_order, similarity_order, stable_order
from tithe.selection.engine import quantities


def clustered(n: int, k: int, seed: int = 0) -> Clustering:
    """Records without vectors: labels, distances with many ties, and the centres' vectors."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(k, size=n).astype(np.int32)
    squared = (rng.integers(20, size=n) / 7).astype(np.float32)
    return Clustering(labels, squared, np.arange(k), rng.standard_normal((k, 16), dtype=np.float32), 0.0)


def test_neighbours_in_the_similarity_order_are_alike() -> None:
    rng = np.random.default_rng(5)
    vectors = rng.standard_normal((10, 16))[rng.integers(10, size=400)] + 0.5 * rng.standard_normal((400, 16))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    order = similarity_order(vectors)
    assert sorted(order.tolist()) == list(range(400))

    def step(path: np.ndarray) -> float:
        return float(((vectors[path[1:]] - vectors[path[:-1]]) ** 2).sum(axis=1).mean())

    assert step(order) < 0.6 * step(np.arange(400))


def test_the_sampling_order_keeps_clusters_together_and_goes_outwards_and_back_by_distance() -> None:
    clusters = clustered(20_000, 50)
    order = sampling_order(clusters)
    assert order.dtype == np.uint32
    assert sorted(order.tolist()) == list(range(20_000))
    labels = clusters.labels[order]
    changes = np.flatnonzero(np.diff(labels))
    assert len(changes) == clusters.k - 1
    distances = clusters.squared_distances[order]
    for number, run in enumerate(np.split(distances, changes + 1)):
        assert (np.diff(run if number % 2 == 0 else run[::-1]) >= 0).all()


@pytest.mark.parametrize("block", [7, 100, quantities.BLOCK])
@pytest.mark.parametrize("k", [1, 2, 30])
def test_the_sampling_order_is_that_of_one_sort_of_all_records(
    block: int, k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantities, "BLOCK", block)
    clusters = clustered(2000, k)
    rank = np.empty(k, np.int64)
    rank[similarity_order(clusters.centre_vectors)] = np.arange(k)
    ranks, squared = rank[clusters.labels], clusters.squared_distances
    expected = np.lexsort((np.where(ranks % 2 == 0, squared, -squared), ranks))
    np.testing.assert_array_equal(sampling_order(clusters), expected)


@given(
    st.lists(st.one_of(st.integers(0, 5), st.integers(0, 2**62)), min_size=1, max_size=300),
    st.integers(1, 40),
    st.booleans(),
)
def test_the_blockwise_sort_is_the_stable_sort(values: list[int], block: int, narrow: bool) -> None:
    keys = np.array(values, np.int64)
    if narrow:
        keys = (keys % 2**16).astype(np.uint16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantities, "BLOCK", block)
        np.testing.assert_array_equal(stable_order(keys), np.argsort(keys, kind="stable"))
