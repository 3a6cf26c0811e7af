"""The clusters that the subset stands for best and worst."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tithe.selection.review.report.extremes import best, worst
from tithe.selection.review.report.files import Columns


@st.composite
def clusters(draw: st.DrawFn) -> Columns:
    drawn = draw(
        st.lists(st.tuples(st.integers(1, 500), st.integers(0, 3), st.floats(0.1, 300)), min_size=1, max_size=30)
    )
    records, selected, weights = np.array(drawn, float).T
    return {"records": records, "selected": selected, "weight": selected * weights}


@given(clusters(), st.integers(1, 6))
def test_worst_lists_clusters_without_a_record_first_then_what_lacks_most(found: Columns, shown: int) -> None:
    listed = worst(found, shown)
    missing = found["records"] - found["weight"]
    without = found["selected"] == 0
    key = [(bool(without[i]), float(missing[i])) for i in listed]
    assert key == sorted(key, reverse=True)
    lacking = [(bool(without[i]), float(missing[i])) for i in range(len(missing)) if missing[i] >= 0.5]
    assert key == sorted(lacking, reverse=True)[:shown]


@given(clusters(), st.integers(1, 6))
def test_best_has_a_record_and_size_and_is_none_of_the_worst(found: Columns, shown: int) -> None:
    listed = best(found, shown)
    records = found["records"]
    off = np.abs(found["weight"] / records - 1)
    assert len(set(listed)) == len(listed) <= shown
    assert not set(listed) & set(worst(found, shown))
    assert (found["selected"][listed] > 0).all()
    assert (records[listed] >= records.mean()).all()
    assert (np.diff(off[listed]) >= -1e-8).all()


def test_of_clusters_that_are_right_the_larger_comes_first() -> None:
    found = {"records": np.array([10.0, 30, 20]), "selected": np.ones(3), "weight": np.array([10.0, 30, 20])}
    assert best(found).tolist() == [1, 2]
    assert worst(found).tolist() == []
