"""Charts: scales hold every value, ticks tell neighbours apart, and areas stand for shares."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tithe.selection.review.report.charts import Bend, Scale, comparison, outline, scatter, weight_histogram
from tithe.selection.review.report.evidence import Histogram

EDGES = np.array([0.0, 1, 2, 50, 51, 100])  # of equal width on no scale


def bars(path: str) -> tuple[np.ndarray, np.ndarray]:
    """Edges and heights of an outline, in per cent."""
    start = re.match(r"M([\d.]+) 100V", path)
    assert start is not None
    assert path.endswith("V100")
    steps = re.findall(r"V([\d.]+)H([\d.]+)", path)
    return np.array([float(start[1]), *(float(right) for _, right in steps)]), 100 - np.array(
        [float(top) for top, _ in steps]
    )


@given(
    st.lists(st.floats(-1e307, 1e307), min_size=2, max_size=9),
    st.sampled_from(["linear", "log", "log1p"]),
)
@example([0.0, 2e-311], "log")
@example([0.0, 1e-300], "log")
def test_a_scale_keeps_order_and_its_ends_and_holds_all_values(values: list[float], bend: Bend) -> None:
    ordered = np.sort(np.array(values) if bend == "linear" else np.abs(values))
    scale = Scale.over(float(ordered[0]), float(ordered[-1]), bend)
    places = scale(ordered)
    assert (np.diff(places) >= 0).all()
    assert ((places >= 0) & (places <= 100)).all()
    assert scale([scale.low, scale.high]).tolist() == [0, 100]


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.sampled_from(["linear", "log", "log1p"]), st.integers(3, 6))
def test_ticks_ascend_within_the_axis_under_labels_that_differ(
    low: float, span: float, bend: Bend, wanted: int
) -> None:
    low = low if bend == "linear" else abs(low) + 1e-3
    ticks = Scale.over(low, low + span, bend).ticks(wanted)
    places = [tick.at for tick in ticks]
    assert 2 <= len(ticks) <= wanted + 4
    assert places == sorted(places)
    assert 0 <= places[0] < places[-1] <= 100
    assert len({tick.label for tick in ticks}) == len(ticks)


def test_labels_are_round_numbers() -> None:
    assert [tick.label for tick in Scale(0, 4.3).ticks()] == ["0", "1", "2", "3", "4"]
    assert [tick.label for tick in Scale(0, 0.43).ticks()] == ["0", "0.1", "0.2", "0.3", "0.4"]
    assert [tick.label for tick in Scale(0, 43_000).ticks()] == ["0", "10k", "20k", "30k", "40k"]
    assert [tick.label for tick in Scale(9998, 10_001).ticks(3)] == ["9,998", "9,999", "10,000", "10,001"]
    assert [tick.label for tick in Scale(1.2e6, 1.5e6).ticks(3)] == ["1.2M", "1.3M", "1.4M", "1.5M"]
    assert [tick.label for tick in Scale(1, 1000, "log").ticks()] == ["1", "3", "10", "30", "100", "300", "1,000"]
    assert [tick.at for tick in Scale(1, 10_000, "log").ticks(3)] == [0, 25, 50, 75, 100]


def test_an_outline_goes_around_the_bars() -> None:
    assert outline(np.array([0.0, 50, 100]), np.array([10.0, 100])) == "M0.00 100V90.00H50.00V0.00H100.00V100"


@given(st.lists(st.integers(0, 1000), min_size=5, max_size=5).filter(any), st.integers(2, 10**6))
def test_areas_are_shares_whatever_the_widths_of_the_bins_and_the_total(counts: list[int], times: int) -> None:
    corpus = np.array(counts, float)
    chart = comparison(Histogram(EDGES, corpus, times * corpus), title="t", x_title="x")
    one, other = (series.path for series in chart.series)
    assert one == other
    edges, heights = bars(one)
    areas = np.diff(edges) * heights
    np.testing.assert_allclose(areas / areas.sum(), corpus / corpus.sum(), atol=0.01)
    assert chart.y_ticks == []


def test_bins_of_one_width_on_a_logarithmic_axis_show_shares() -> None:
    histogram = Histogram(np.geomspace(1, 1024, 11), np.arange(1.0, 11), np.ones(10))
    chart = comparison(histogram, title="Lengths", x_title="characters")
    assert chart.x_title == "characters, logarithmic"
    assert chart.y_title == "share of records"
    (corpus, subset) = (bars(series.path)[1] for series in chart.series)
    top = next(tick for tick in chart.y_ticks if tick.label == "10%")
    np.testing.assert_allclose(subset, top.at, atol=0.02)
    np.testing.assert_allclose(corpus, top.at * np.arange(1, 11) / 5.5, atol=0.02)


def test_a_subset_without_weight_is_a_flat_line() -> None:
    chart = comparison(Histogram(EDGES, np.ones(5), np.zeros(5)), title="t", x_title="x")
    assert bars(chart.series[1].path)[1].max() == 0


@pytest.mark.parametrize(("factor", "axis"), [(2, "weight"), (1000, "weight, logarithmic")])
def test_weights_are_counted_each_once(factor: float, axis: str) -> None:
    chart = weight_histogram(np.array([7.0] * 3 + [7.0 * factor]))
    heights = bars(chart.series[0].path)[1]
    np.testing.assert_allclose(heights[heights > 0], [100 / 1.06, 100 / 3.18], atol=0.01)
    assert chart.x_title == axis
    assert bars(weight_histogram(np.full(9, 2.5)).series[0].path)[1].max() > 90


@given(st.lists(st.tuples(st.floats(-1e3, 1e9), st.floats(-1e3, 1e9)), max_size=20))
def test_points_lie_in_the_plot_and_equal_values_on_its_diagonal(points: list[tuple[float, float]]) -> None:
    equal = [(x, x) for x, _ in points]
    placed = scatter(np.array(points + equal, float).reshape(-1, 2), title="t").points
    assert len(placed) == 2 * len(points)
    assert all(0 <= x <= 100 and 0 <= y <= 100 for x, y in placed)
    assert all(x == pytest.approx(100 - y, abs=0.011) for x, y in placed[len(points) :])
