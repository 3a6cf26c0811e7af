"""The map of the clusters: areas, places, colours, rings."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tithe.selection.review.report.cluster_map import (
    HEIGHT,
    LEVELS,
    SHOWN,
    WIDTH,
    circle_radii,
    cluster_map,
    loss_levels,
    spread,
)
from tithe.selection.review.report.files import Columns

sizes = st.lists(st.integers(1, 10**7), min_size=1, max_size=60).map(lambda records: np.array(records, float))


def columns(records: list[int], selected: list[int], losses: list[float] | None = None) -> Columns:
    k = len(records)
    rng = np.random.default_rng(0)
    return {
        "cluster": np.arange(k, dtype=float),
        "records": np.array(records, float),
        "selected": np.array(selected, float),
        "loss": np.full(k, np.nan) if losses is None else np.array(losses),
        "x": rng.normal(size=k),
        "y": rng.normal(size=k),
    }


@given(sizes)
def test_areas_are_in_proportion_to_records_and_leave_room(records: np.ndarray) -> None:
    radii = circle_radii(records)
    np.testing.assert_allclose(radii**2 / records, radii[0] ** 2 / records[0])
    assert 0 < radii.max() <= 46.001
    assert math.pi * (radii**2).sum() < 0.27 * WIDTH * HEIGHT


@given(sizes, st.integers(0, 2**32), st.sampled_from([0.0, 1.0, 1e308]))
@settings(deadline=None)
def test_circles_end_inside_the_map(records: np.ndarray, seed: int, scale: float) -> None:
    places = scale * np.random.default_rng(seed).uniform(-1, 1, (2, len(records)))
    radii = circle_radii(records)
    x, y = spread(places[0], places[1], radii)
    for places, length in ((x, WIDTH), (y, HEIGHT)):
        assert (places - radii >= 0).all()
        assert (places + radii <= length).all()


def test_circles_at_one_place_are_pushed_apart_the_smaller_the_further() -> None:
    radii = np.array([40.0, 10.0])
    x, y = spread(np.zeros(2), np.zeros(2), radii)
    assert math.hypot(x[1] - x[0], y[1] - y[0]) == pytest.approx(50, abs=0.1)
    moved = np.hypot(x - WIDTH / 2, y - HEIGHT / 2)
    assert moved[1] == pytest.approx(16 * moved[0], rel=0.01)


def test_the_map_keeps_the_sides_of_the_axes() -> None:
    x, y = spread(np.array([-1.0, 0, 1]), np.array([-1.0, 0, 1]), np.full(3, 5.0))
    assert x[0] < x[1] < x[2]
    assert y[0] > y[1] > y[2]  # upwards, on a page that counts downwards


@given(st.lists(st.floats(0, 1e300) | st.just(math.nan), min_size=1, max_size=60))
def test_levels_are_in_range_and_keep_the_order_of_losses(values: list[float]) -> None:
    losses = np.array(values)
    levels, ends = loss_levels(losses)
    assert ((levels >= 0) & (levels < LEVELS)).all()
    assert (levels[np.isnan(losses)] == 0).all()
    assert (np.diff(levels[np.argsort(losses)][: np.isfinite(losses).sum()]) >= 0).all()
    assert (ends is None) == np.isnan(losses).all()


def test_one_outlier_does_not_take_all_colours() -> None:
    levels, ends = loss_levels(np.array([*np.linspace(1, 2, 99), 1e6]))
    assert set(levels.tolist()) == set(range(LEVELS))
    assert ends is not None
    assert ends[1].startswith("≥")


def test_rings_are_shares_and_clusters_without_a_record_are_marked() -> None:
    found = cluster_map(columns([100, 400, 200], [4, 4, 0], [1.0, math.nan, 3.0]))
    assert [circle.title for circle in found.circles] == [
        "Cluster 1: 400 records, 4 selected",
        "Cluster 2: 200 records, 0 selected, loss 3",
        "Cluster 0: 100 records, 4 selected, loss 1",
    ]
    assert [circle.missed for circle in found.circles] == [False, True, False]
    assert [circle.level for circle in found.circles] == [None, LEVELS - 1, 0]
    assert (found.full_ring, [circle.ring for circle in found.circles]) == ("5%", [20.0, 0.0, 80.0])
    assert cluster_map(columns([5], [5])).circles[0].ring == 100


def test_of_very_many_clusters_the_largest_are_shown() -> None:
    k = SHOWN + 50
    found = cluster_map(columns(list(range(1, k + 1)), [1] * k))
    assert (len(found.circles), found.clusters, found.losses) == (SHOWN, k, None)
    assert found.circles[0].title.startswith(f"Cluster {k - 1}:")
    assert found.circles[-1].title.startswith("Cluster 50:")
