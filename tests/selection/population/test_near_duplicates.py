"""Near-duplicates: who stays, and that those who go are as alike as asked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tithe.selection.population import near_duplicates
from tithe.selection.population.near_duplicates import leaders_of, merge_near


def directions(count: int, seed: int, d: int = 3) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, d)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 120), st.integers(0, 999), st.sampled_from([0.5, 0.9, 0.99, 1.0]), st.sampled_from([3, 7, 1024]))
def test_those_that_go_are_alike_and_those_that_stay_are_not(
    count: int, seed: int, threshold: float, block: int
) -> None:
    vectors = directions(count, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_duplicates, "_BLOCK", block)
        leaders = leaders_of(vectors, threshold)
    stays = leaders == np.arange(count)
    assert (leaders[leaders] == leaders).all() and (leaders <= np.arange(count)).all()
    likeness = vectors @ vectors.T
    assert (likeness[np.arange(count), leaders][~stays] >= threshold).all()
    among = likeness[np.ix_(stays, stays)]
    assert (among[~np.eye(len(among), dtype=bool)] < threshold + 1e-6).all()


def test_copies_move_within_clusters_and_none_is_lost() -> None:
    vectors = directions(4000, 1) * np.random.default_rng(2).uniform(0.5, 2, (4000, 1)).astype(np.float32)
    labels = np.random.default_rng(3).integers(0, 9, 4000).astype(np.int32)
    copies = np.random.default_rng(4).integers(0, 3, 4000).astype(np.uint32)
    before = copies.copy()
    preferred = np.flatnonzero(before)[:40]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_duplicates, "_TOGETHER", 1000)
        seen: list[int] = []
        merge_near(copies, vectors.__getitem__, labels, 0.95, preferred, seen.append)
    assert sum(seen) == 4000
    assert (np.bincount(labels, copies, 9) == np.bincount(labels, before, 9)).all()
    assert (copies[before == 0] == 0).all() and (copies[preferred] > 0).all()
    assert 0.05 < (copies > 0).sum() / (before > 0).sum() < 0.5


def test_a_vector_of_zeros_is_like_no_other() -> None:
    copies = np.ones(4, np.uint32)
    vectors = np.array([[0, 0], [0, 0], [1, 0], [2, 0]], np.float32)
    merge_near(copies, vectors.__getitem__, np.zeros(4, np.int32), 0.5, np.empty(0, np.int64))
    assert copies.tolist() == [1, 1, 2, 0]
