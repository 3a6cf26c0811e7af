"""Scores: Algorithm 1's formula, and the uniform part."""

from __future__ import annotations

import numpy as np
import pytest

from tithe.selection.engine.quantities import Quantity
from tithe.selection.population.candidates import Candidates
from tithe.selection.scoring.scores import Scores, distances_to_the_power, sensitivity_scores

LABELS = np.array([0, 0, 0, 1, 1, 2], np.int32)
SQUARED = np.array([0, 0.25, 1.0, 0, 0.04, 0], np.float32)
EVERYTHING = np.arange(6)
LOSSES = np.array([2.0, 1.0, 0.5])


def scored(proxies: np.ndarray, spreads: Quantity, smoothness: float | None, uniform_share: float = 0) -> Scores:
    return sensitivity_scores(
        proxies, spreads, Candidates.everyone(len(proxies)), smoothness=smoothness, uniform_share=uniform_share
    )


@pytest.mark.parametrize(("z", "spread"), [(2, [0, 0.25, 1, 0, 0.04, 0]), (1, [0, 0.5, 1, 0, 0.2, 0])])
def test_a_score_is_the_centres_loss_plus_lambda_times_the_distance(z: int, spread: list[float]) -> None:
    found = scored(LOSSES[LABELS], distances_to_the_power(SQUARED, z), 3.0)
    np.testing.assert_allclose(found.at(EVERYTHING), LOSSES[LABELS] + 3.0 * np.array(spread), rtol=1e-6)
    assert found.values.mean() == pytest.approx(1)
    assert found.smoothness == 3.0


def test_without_losses_uniform_and_distance_have_half_the_score_each() -> None:
    found = scored(np.ones(6), distances_to_the_power(SQUARED, 2), None)
    expected = 0.5 / 6 + 0.5 * SQUARED / SQUARED.sum()
    np.testing.assert_allclose(found.values / found.values.sum(), expected, rtol=1e-6)


def test_one_cluster_gives_the_lightweight_coreset() -> None:
    found = scored(np.full(6, 7.0), distances_to_the_power(SQUARED, 2), None)
    expected = 0.5 / 6 + 0.5 * SQUARED / SQUARED.sum()
    np.testing.assert_allclose(found.values / found.values.sum(), expected, rtol=1e-6)


def test_identical_records_all_score_the_same() -> None:
    found = scored(np.ones(4), np.zeros(4), None)
    assert len(set(found.values.tolist())) == 1
    assert found.values[0] > 0


def test_losses_that_are_all_zero_leave_a_uniform_sample() -> None:
    found = scored(np.zeros(4), np.zeros(4), None)
    np.testing.assert_array_equal(found.values, np.ones(4))


def test_the_uniform_part_is_shared_by_all_and_bounds_the_scores() -> None:
    losses = np.array([0.0, 1000.0, 0.0])
    found = scored(losses[LABELS], np.zeros(6), 0.0, 0.5)
    mean = losses[LABELS].mean()
    np.testing.assert_allclose(found.at(EVERYTHING), (losses[LABELS] + mean) / 2, rtol=1e-6)
    # Hence no inclusion probability below half the mean, and no weight above twice the mean weight.
    assert found.values.min() >= found.values.mean() / 2


def test_records_that_cannot_be_drawn_score_nothing_and_do_not_count() -> None:
    candidates = Candidates.without(6, np.array([2, 5]))
    chosen = candidates[EVERYTHING]
    found = sensitivity_scores(LOSSES[LABELS], np.ones(6), candidates, smoothness=None, uniform_share=0.5)
    assert found.values[~chosen].tolist() == [0.0, 0.0]
    alone = scored(LOSSES[LABELS][chosen], np.ones(4), None, 0.5)
    np.testing.assert_allclose(found.values[chosen], alone.values, rtol=1e-6)
    assert found.smoothness == pytest.approx(alone.smoothness)
