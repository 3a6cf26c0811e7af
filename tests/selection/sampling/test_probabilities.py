"""Inclusion probabilities and draws: exact sizes, exact probabilities, unbiased weights."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tithe.selection.engine.quantities import NOBODY
from tithe.selection.sampling.probabilities import (
    draw_independent,
    draw_pivotal,
    inclusion_probabilities,
    ordered_pivotal,
)

scores = hnp.arrays(np.float64, st.integers(1, 60), elements=st.floats(0, 1e6, allow_subnormal=False))


@given(scores, st.data())
def test_probabilities_sum_to_the_size_and_follow_the_scores(values: np.ndarray, data: st.DataObject) -> None:
    size = data.draw(st.integers(0, len(values)))
    p = inclusion_probabilities(values, size)[:]
    assert p.min() >= 0 and p.max() <= 1
    assert p.sum() == pytest.approx(size, abs=1e-9 * max(1, size))
    open_ = (p < 1) & (values > 0)
    if np.count_nonzero(values) >= size and open_.any():
        ratio = p[open_] / values[open_]
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-9)
        # Who is certain scores at least as much as who is not.
        assert not (p == 1).any() or values[p == 1].min() >= values[open_].max() * (1 - 1e-6)


def test_probabilities_that_pass_one_again_and_again_are_capped() -> None:
    p = inclusion_probabilities(np.array([100.0, 10.0, 1.0, 1.0, 1.0, 1.0]), 4)[:]
    np.testing.assert_allclose(p, [1, 1, 0.5, 0.5, 0.5, 0.5])


def test_certain_records_get_probability_one_within_the_size() -> None:
    p = inclusion_probabilities(np.ones(10), 4, np.array([2, 5]))[:]
    np.testing.assert_allclose(p, [0.25, 0.25, 1, 0.25, 0.25, 1, 0.25, 0.25, 0.25, 0.25])


def test_records_of_score_zero_share_what_the_others_leave() -> None:
    p = inclusion_probabilities(np.array([5.0, 0, 0, 0, 0]), 3)[:]
    np.testing.assert_allclose(p, [1, 0.5, 0.5, 0.5, 0.5])


def test_scores_may_lie_any_distance_apart() -> None:
    p = inclusion_probabilities(np.array([27778.0, 7.7e-305, 7.7e-305]), 2)[:]
    np.testing.assert_allclose(p, [1, 0.5, 0.5])


def test_single_precision_scores_are_drawn_in_double_precision() -> None:
    scores = np.array([0.1, 0.2, 0.3], np.float32)
    alone = draw_independent(scores, 3, np.random.default_rng(0), np.array([0, 1]))
    np.testing.assert_allclose(alone.probabilities, 1, rtol=1e-14)
    np.testing.assert_allclose(alone.weights, 1, rtol=1e-14)
    drawn = draw_independent(scores, 5, np.random.default_rng(0))
    shares = scores[drawn.positions].astype(np.float64) / scores.astype(np.float64).sum()
    counts = drawn.weights * 5 * shares
    np.testing.assert_allclose(counts, np.rint(counts), rtol=1e-14)


@pytest.mark.parametrize("wrong", [[np.nan, 1.0], [np.inf, 1.0], [-1.0, 2.0]])
def test_scores_that_are_no_scores_are_refused(wrong: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        inclusion_probabilities(np.array(wrong), 1)


@given(scores, st.data())
def test_pivotal_draws_exactly_the_size_without_repeats(values: np.ndarray, data: st.DataObject) -> None:
    size = data.draw(st.integers(0, len(values)))
    seed = data.draw(st.integers(0, 2**32))
    p = inclusion_probabilities(values, size)[:]
    order = np.random.default_rng(seed).permutation(len(values))
    sample = draw_pivotal(p, order, np.random.default_rng(seed))
    assert len(sample.positions) == size
    assert (np.diff(sample.positions) > 0).all()
    assert (p[sample.positions] > 0).all()
    np.testing.assert_array_equal(sample.weights, 1 / p[sample.positions])
    assert set(np.flatnonzero(p == 1)) <= set(sample.positions)


def exact_distribution(p: list[float]) -> dict[frozenset[int], float]:
    """Every possible ordered pivotal sample with its probability, by the duels themselves (Deville & Tillé 1998)."""
    states = {(frozenset[int](), 0, p[0]): 1.0}
    for new, q in enumerate(p[1:], start=1):
        following: dict[tuple[frozenset[int], int, float], float] = {}
        for (taken, old, mass), chance in states.items():
            total = mass + q
            if total < 1 - 1e-12:
                outcomes = [(mass / total, taken, old, total), (q / total, taken, new, total)]
            else:
                spare = 2 - mass - q
                left = max(0.0, total - 1)
                outcomes = [((1 - q) / spare, taken | {old}, new, left), ((1 - mass) / spare, taken | {new}, old, left)]
            for probability, now_taken, survivor, now_mass in outcomes:
                key = (now_taken, survivor, round(now_mass, 12))
                following[key] = following.get(key, 0.0) + chance * probability
        states = following
    result: dict[frozenset[int], float] = {}
    for (taken, survivor, mass), chance in states.items():
        whole = taken | {survivor} if mass > 0.5 else taken
        result[whole] = result.get(whole, 0.0) + chance
    return result


@pytest.mark.parametrize(
    "p",
    [
        [0.5, 0.5],
        [0.3, 0.9, 0.8],
        [0.2, 0.4, 0.6, 0.8],
        [0.9, 0.9, 0.9, 0.3],
        [0.25] * 8,
        [0.5, 0.5, 0.5, 0.5, 0.7, 0.3],
        [0.05, 0.95, 0.35, 0.65, 0.15, 0.85],
        [1 / 3, 2 / 3, 1 / 3, 2 / 3, 0.1, 0.9],
    ],
)
def test_the_vectorised_pivotal_method_has_the_distribution_of_the_duels(p: list[float]) -> None:
    rng = np.random.default_rng(1)
    draws = 8000
    counts: dict[frozenset[int], int] = {}
    for _ in range(draws):
        drawn = frozenset(ordered_pivotal(np.array(p), rng).tolist())
        counts[drawn] = counts.get(drawn, 0) + 1
    exact = exact_distribution(p)
    assert set(counts) <= {sample for sample, chance in exact.items() if chance > 1e-12}
    for sample, chance in exact.items():
        # Five standard errors: a correct sampler fails one of these checks in about 10,000 runs; the seed is fixed.
        assert counts.get(sample, 0) / draws == pytest.approx(
            chance, abs=5 * np.sqrt(chance * (1 - chance) / draws) + 1e-9
        )


def test_inclusion_probabilities_hold_over_many_draws_with_skewed_scores() -> None:
    rng = np.random.default_rng(2)
    p = inclusion_probabilities(rng.pareto(1.0, 300) + 0.01, 60)[:]
    order = rng.permutation(300)
    draws = 4000
    hits = np.zeros(300)
    for _ in range(draws):
        hits[draw_pivotal(p, order, rng).positions] += 1
    deviation = (hits / draws - p) / np.sqrt(np.maximum(p * (1 - p), 1e-12) / draws)
    assert np.abs(deviation[p < 1]).max() < 5
    assert (hits[p == 1] == draws).all()


@pytest.mark.parametrize("method", ["pivotal", "independent", "independent with certain records"])
def test_weights_are_unbiased(method: str) -> None:
    rng = np.random.default_rng(3)
    values = rng.lognormal(0, 1, 400)
    guess = values * rng.lognormal(0, 0.5, 400)
    certain = np.array([7, 11, 399])
    p = inclusion_probabilities(guess, 50)[:]
    order = np.arange(400)
    totals = []
    for _ in range(3000):
        if method == "pivotal":
            sample = draw_pivotal(p, order, rng)
        else:
            sample = draw_independent(guess, 50, rng, certain if "certain" in method else NOBODY)
        totals.append(sample.weights @ values[sample.positions])
    error = np.mean(totals) - values.sum()
    assert abs(error) < 3 * np.std(totals) / np.sqrt(len(totals))


def test_pivotal_sampling_takes_one_record_of_every_stretch_of_probability_one() -> None:
    rng = np.random.default_rng(4)
    for _ in range(200):
        drawn = ordered_pivotal(np.full(20, 0.25), rng)
        assert sorted(drawn // 4) == [0, 1, 2, 3, 4]


def test_independent_draws_merge_repeats_into_the_weight() -> None:
    sample = draw_independent(np.array([98.0, 1.0, 1.0]), 1000, np.random.default_rng(0))
    assert sample.positions.tolist() == [0, 1, 2]
    counts = sample.weights * 1000 * np.array([0.98, 0.01, 0.01])
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-9)
    assert counts.sum() == pytest.approx(1000)
    np.testing.assert_allclose(sample.probabilities, 1 - (1 - np.array([0.98, 0.01, 0.01])) ** 1000)


def test_certain_records_do_not_enter_the_lottery() -> None:
    sample = draw_independent(np.ones(5), 4, np.random.default_rng(0), np.array([1, 3]))
    weights = dict(zip(sample.positions.tolist(), sample.weights.tolist(), strict=True))
    assert weights[1] == weights[3] == 1.0
    assert sum(w for i, w in weights.items() if i in (0, 2, 4)) == pytest.approx(3.0)


def test_all_subsets_are_possible_where_probabilities_are_equal() -> None:
    rng = np.random.default_rng(5)
    order = np.array([2, 0, 3, 1])
    seen = {tuple(draw_pivotal(np.full(4, 0.5), order, rng).positions.tolist()) for _ in range(300)}
    # 2 and 0 lie in one unit interval of the order, 3 and 1 in the other: one of each, always.
    assert seen == {tuple(sorted(pair)) for pair in itertools.product([2, 0], [3, 1])}
