"""Copies in the place of weights: unbiased, and as many as asked for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tithe.selection.sampling.probabilities import draw_pivotal, inclusion_probabilities
from tithe.selection.subset.shapes import line_order, replicated, resampled, scaled

Floats = npt.NDArray[np.float64]
Copies = npt.NDArray[np.int64]
SEEDS = 2000


def in_place(weights: Floats, lines: int, rng: np.random.Generator) -> Copies:
    return replicated(weights, lines, np.arange(len(weights)), rng)


WAYS = pytest.mark.parametrize("way", [in_place, resampled], ids=["replicate", "resample"])
Way = Callable[[Floats, int, np.random.Generator], Copies]


@pytest.fixture
def corpus() -> tuple[Floats, Floats]:
    """Scores and losses of a corpus, which have to do with each other."""
    rng = np.random.default_rng(0)
    scores = rng.lognormal(0, 1, 1500)
    return scores, scores * rng.uniform(0.5, 1.5, 1500) + rng.exponential(1, 1500)


@WAYS
def test_plain_totals_of_the_lines_estimate_the_total_of_the_corpus(way: Way, corpus: tuple[Floats, Floats]) -> None:
    scores, losses = corpus
    lines = 80
    probabilities = inclusion_probabilities(scores, 80)
    estimates = []
    for seed in range(SEEDS):
        sample = draw_pivotal(probabilities, np.arange(1500), np.random.default_rng([seed, 2]))
        copies = way(sample.weights, lines, np.random.default_rng([seed, 7]))
        assert copies.sum() == lines
        estimates.append(sample.weights.sum() / lines * (copies @ losses[sample.positions]))
    error = np.std(estimates) / SEEDS**0.5
    assert abs(np.mean(estimates) - losses.sum()) < 3 * error


@WAYS
@pytest.mark.parametrize("lines", [30, 100, 237])
def test_expected_copies_are_in_proportion_to_the_weights(way: Way, lines: int) -> None:
    weights = np.random.default_rng(1).lognormal(0, 1, 100)
    drawn = np.array([way(weights, lines, np.random.default_rng(seed)) for seed in range(SEEDS)])
    assert (drawn.sum(axis=1) == lines).all()
    error = np.maximum(drawn.std(axis=0) / SEEDS**0.5, 1e-9)
    assert np.abs((drawn.mean(axis=0) - lines * weights / weights.sum()) / error).max() < 4.5  # of 100


def test_replicating_strays_less_than_resampling() -> None:
    rng = np.random.default_rng(2)
    weights, losses = rng.lognormal(0, 0.5, 200), rng.exponential(1, 200)
    spread = [
        np.std([way(weights, 200, np.random.default_rng(seed)) @ losses for seed in range(400)])
        for way in (in_place, resampled)
    ]
    assert spread[0] < 0.75 * spread[1]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=40),
    st.integers(1, 200),
    st.integers(0, 2**32),
)
def test_copies_are_the_expected_number_rounded_up_or_down(weights: list[float], lines: int, seed: int) -> None:
    given_ = np.array(weights)
    rng = np.random.default_rng(seed)
    copies = replicated(given_, lines, rng.permutation(len(given_)), rng)
    assert copies.sum() == lines
    assert (np.abs(copies - lines * given_ / given_.sum()) < 1 + 1e-6).all()


def test_equal_weights_give_each_record_once() -> None:
    for count in (1, 3, 7, 49, 1000, 12345):
        copies = in_place(np.full(count, 25.7), count, np.random.default_rng(count))
        assert (copies == 1).all()


def test_lines_are_in_random_order_and_hold_the_copies() -> None:
    copies = np.array([2, 0, 1, 300])
    order = line_order(copies, np.random.default_rng(0))
    assert np.bincount(order, minlength=4).tolist() == copies.tolist()
    assert np.array_equal(order, line_order(copies, np.random.default_rng(0)))
    assert not np.array_equal(order, line_order(copies, np.random.default_rng(1)))
    assert not np.array_equal(order, np.sort(order))


def test_scales() -> None:
    weights = np.array([1.0, 2.0, 6.0])
    assert scaled(weights, "mean").mean() == pytest.approx(1)
    assert scaled(weights, "mean")[2] / scaled(weights, "mean")[0] == pytest.approx(6)
    assert scaled(weights, "sum") is scaled(weights, None) is weights
