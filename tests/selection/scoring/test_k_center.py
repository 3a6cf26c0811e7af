"""Greedy farthest points, against the plainest way to find them."""

from __future__ import annotations

import numpy as np
import pytest

from tithe.selection.scoring.k_center import farthest_points


@pytest.mark.parametrize("seed", range(3))
def test_each_point_is_the_farthest_from_those_before(seed: int) -> None:
    points = np.random.default_rng(seed).standard_normal((200, 5)).astype(np.float32)
    chosen = farthest_points(points, 12)
    to_the_mean = np.linalg.norm(points - points.mean(axis=0), axis=1)
    assert chosen[0] == to_the_mean.argmin()
    for i in range(1, 12):
        apart = np.linalg.norm(points[:, None] - points[chosen[:i]], axis=2).min(axis=1)
        assert apart[chosen[i]] == pytest.approx(apart.max(), rel=1e-5)


def test_points_in_one_place_are_still_taken_once_each() -> None:
    points = np.ones((7, 3), np.float32)
    assert sorted(farthest_points(points, 7).tolist()) == list(range(7))
