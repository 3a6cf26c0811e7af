"""Groups: who gets how many, exact sizes, probabilities and variances of the draw."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tithe.selection.errors import UsageError
from tithe.selection.options.shares import Wanted, parse_shares
from tithe.selection.population.candidates import Candidates
from tithe.selection.population.groups import Groups
from tithe.selection.sampling.allocation import allocation
from tithe.selection.sampling.grouped import GroupDesign, group_probabilities, grouped_order, make_group_design
from tithe.selection.sampling.probabilities import inclusion_probabilities
from tithe.selection.sampling.variance import Stretches, pivotal_variance

N, SIZE = 400, 40
FORBIDDEN = np.array([0, 5, 9])
CERTAIN = np.array([7, 31])


@st.composite
def bounded(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    count = draw(st.integers(1, 8))
    low, room = (np.array(draw(st.lists(st.integers(0, most), min_size=count, max_size=count))) for most in (6, 10))
    totals = draw(st.lists(st.just(0.0) | st.floats(0, 1e6), min_size=count, max_size=count))
    return np.array(totals), low, low + room


@given(bounded(), st.integers(0, 100))
def test_an_allocation_sums_up_to_the_budget_within_its_bounds_or_is_refused(
    groups: tuple[np.ndarray, np.ndarray, np.ndarray], budget: int
) -> None:
    totals, low, high = groups
    if not low.sum() <= budget <= high.sum():
        with pytest.raises(UsageError, match=f"{low.sum() if low.sum() > budget else high.sum()} records? at"):
            allocation(budget, totals, low, high)
        return
    found = allocation(budget, totals, low, high)
    assert found.sum() == budget and (low <= found).all() and (found <= high).all()
    free = (low < found) & (found < high) & (totals > 1e-9 * totals.sum())
    if free.any():  # one level serves all that are free, to less than one record
        assert ((found[free] - 1) / totals[free]).max() <= ((found[free] + 1) / totals[free]).min() * (1 + 1e-9)


def test_an_allocation_is_in_proportion_and_rounds_by_the_largest_remainders() -> None:
    ones, many = np.ones(3, np.int64), np.full(3, 100)
    assert allocation(20, np.array([5.0, 3, 2]), ones, many).tolist() == [10, 6, 4]
    assert allocation(11, np.array([5.0, 3, 2]), ones, many).tolist() == [6, 3, 2]
    assert allocation(20, np.array([99.0, 1, 0]), ones, many).tolist() == [18, 1, 1]
    assert allocation(20, np.array([99.0, 1, 0]), ones, np.array([5, 9, 50])).tolist() == [5, 9, 6]


def test_shares_are_parsed() -> None:
    assert parse_shares(["a=0.5,b, c=.25", "x=y=2.5e-1"]) == {"a": 0.5, "b, c": 0.25, "x=y": 0.25}
    for wrong in ("a", "a=b", "a=0.5,", "a=nan", "a=2", "a=-1", "a=1e"):
        with pytest.raises(UsageError):
            parse_shares([wrong])


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.data())
def test_probabilities_of_each_group_are_those_of_it_alone(seed: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 4, 60).astype(np.uint16)
    scores = rng.pareto(0.7, 60) * (rng.random(60) < data.draw(st.sampled_from([1.0, 0.5, 0.1])))
    candidates = Candidates.without(60, FORBIDDEN)
    scores[FORBIDDEN] = 0
    available = np.bincount(codes[candidates[:60]], minlength=4)
    sure = np.bincount(codes[CERTAIN], minlength=4)
    counts = np.array([data.draw(st.integers(int(s), int(a))) for s, a in zip(sure, available, strict=True)])
    found = group_probabilities(scores, codes, counts, CERTAIN, candidates)
    for group in range(4):
        members = np.flatnonzero(codes == group)
        outside = np.flatnonzero(np.isin(members, FORBIDDEN))
        alone = inclusion_probabilities(
            scores[members],
            int(counts[group]),
            np.flatnonzero(np.isin(members, CERTAIN)),
            Candidates.without(len(members), outside),
        )
        np.testing.assert_allclose(found[members], alone[:], rtol=1e-9, atol=1e-12)


def designed(wanted: Wanted) -> tuple[GroupDesign, np.ndarray]:
    """A design over six groups, the smallest of five records, and losses that follow the order and the group."""
    rng = np.random.default_rng(1)
    codes = rng.permutation(np.repeat(np.arange(6), [180, 100, 60, 35, 20, 5])).astype(np.uint16)
    order = rng.permutation(N)
    losses = rng.lognormal(0, 0.4, N) + np.argsort(order) / N + codes % 3
    scores = losses * rng.lognormal(0, 0.5, N)
    scores[FORBIDDEN] = 0
    candidates = Candidates.without(N, FORBIDDEN)
    groups = Groups("source", codes, tuple("abcdef"))
    return make_group_design(replace(groups, wanted=wanted), scores, SIZE, order, candidates, CERTAIN), losses


@pytest.mark.parametrize(
    "wanted", [Wanted(), Wanted(least=4, most=9), Wanted(shares={"a": 0.1, "f": 0.05, "other": 0.85})]
)
def test_weights_are_unbiased_sizes_exact_and_variances_right(wanted: Wanted) -> None:
    design, losses = designed(wanted)
    codes = design.groups.codes
    members = np.setdiff1d(np.arange(N), FORBIDDEN)
    rng = np.random.default_rng(2)
    totals, sizes, estimated = [], [], []
    for seed in range(2000):
        sample = design.draw(rng)
        drawn = codes[sample.positions]
        assert np.bincount(drawn, minlength=6).tolist() == design.counts.tolist()
        assert not np.isin(FORBIDDEN, sample.positions).any() and np.isin(CERTAIN, sample.positions).all()
        totals.append(sample.weights @ losses[sample.positions])
        sizes.append(np.bincount(drawn, sample.weights, minlength=6))
        if seed < 100:
            estimated.append(np.sum(design.deviations(sample, losses[sample.positions]) ** 2))
    error = np.mean(totals) - losses[members].sum()
    assert abs(error) < 3 * np.std(totals) / np.sqrt(len(totals))
    deviation = np.mean(sizes, axis=0) - np.bincount(codes[members], minlength=6)
    assert (np.abs(deviation) < 3.5 * np.std(sizes, axis=0) / np.sqrt(len(sizes)) + 1e-9).all()
    forecast = design.chances(members).forecast(losses[members], population_size=len(members))
    assert np.sqrt(forecast) == pytest.approx(np.std(totals), rel=0.08)
    assert 0.85 < np.sqrt(np.mean(estimated)) / np.std(totals) < 1.4  # collapsed groups err to the safe side
    parts = []
    for _ in range(300):
        known = np.sort(rng.choice(members, 120, replace=False))
        parts.append(design.chances(known).part(np.arange(120)).forecast(losses[known], population_size=len(members)))
    assert np.sqrt(np.mean(parts)) == pytest.approx(np.std(totals), rel=0.1)


def test_one_record_of_a_group_has_the_variance_of_one_draw() -> None:
    rng = np.random.default_rng(3)
    p, y = rng.dirichlet(np.ones(30)), rng.random(30)
    places = np.cumsum(p) - p / 2
    found = pivotal_variance(y, p, places, population_size=30, stretches=Stretches(np.zeros(30, np.int64), np.ones(1)))
    assert found == pytest.approx((y**2 / p).sum() - y.sum() ** 2, rel=0.1)


def test_groups_lie_together_and_keep_their_order() -> None:
    rng = np.random.default_rng(4)
    codes, order = rng.integers(0, 300, 5000).astype(np.uint16), rng.permutation(5000)
    found = grouped_order(order, Groups("x", codes, tuple(map(str, range(300)))))
    np.testing.assert_array_equal(found, order[np.argsort(codes[order], kind="stable")])


def test_a_thousand_groups_of_one_record_each() -> None:
    codes = np.arange(3000).astype(np.uint16) % 1000
    groups = Groups("x", codes.astype(np.uint16), tuple(map(str, range(1000))))
    design = make_group_design(groups, np.ones(3000), 1000, np.arange(3000), Candidates.everyone(3000))
    sample = design.draw(np.random.default_rng(0))
    assert np.bincount(codes[sample.positions]).tolist() == [1] * 1000
    assert design.deviations(sample, np.ones(1000)) == pytest.approx(0)
