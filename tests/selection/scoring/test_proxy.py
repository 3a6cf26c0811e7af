"""Proxy losses: noise is smoothed away as far as the centres show that it is noise, and λ follows the losses."""

from __future__ import annotations

import numpy as np
import pytest

from tithe.selection.scoring.proxy import auto_lambda, smoothed, verbatim


def grid(k: int = 400, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((k, 2)).astype(np.float32)


def test_noise_around_a_smooth_loss_is_smoothed_away() -> None:
    centres = grid()
    truth = 3 + np.sin(3 * centres[:, 0]) + centres[:, 1]
    noisy = np.maximum(truth + np.random.default_rng(1).normal(0, 0.5, len(truth)), 0)
    proxy = smoothed(centres, noisy)
    assert np.mean((proxy.values - truth) ** 2) < 0.25 * np.mean((noisy - truth) ** 2)


def test_a_smooth_loss_without_noise_is_kept() -> None:
    centres = grid()
    truth = 3 + np.sin(3 * centres[:, 0]).astype(np.float64) + centres[:, 1]
    proxy = smoothed(centres, truth)
    assert np.corrcoef(proxy.values, truth)[0, 1] > 0.99
    assert proxy.shrinkage < 0.05


@pytest.mark.parametrize("seed", range(5))
def test_losses_that_have_nothing_to_do_with_the_embedding_become_nearly_one_value(seed: int) -> None:
    losses = np.random.default_rng(seed).gamma(2, 1, 400)
    proxy = smoothed(grid(seed=seed), losses)
    assert proxy.values.std() < 0.3 * losses.std()


def test_a_lone_extreme_loss_is_kept() -> None:
    losses = 1 + 0.1 * np.random.default_rng(0).random(400)
    losses[17] = 500.0
    proxy = smoothed(grid(), losses)
    assert proxy.values[17] == 500.0
    assert proxy.far_out == 1


def test_what_the_others_say_of_a_centre_does_not_lean_on_its_own_loss() -> None:
    centres, losses = grid(60), np.random.default_rng(2).random(60) + 1
    changed = losses.copy()
    changed[5] += 0.01  # the bandwidth and the shrinkage are everyone's, and move a little
    assert smoothed(centres, changed).left_out[5] == pytest.approx(smoothed(centres, losses).left_out[5], abs=1e-3)


@pytest.mark.parametrize("losses", [[1.0], [1.0, 5.0], [2.0, 2.0, 2.0, 2.0]])
def test_few_or_equal_losses_are_taken_as_they_are(losses: list[float]) -> None:
    given = np.array(losses)
    assert smoothed(grid(len(losses)), given).values.tolist() == losses
    assert auto_lambda(grid(len(losses)), given, z=2) is None


def test_zero_losses_and_centres_in_one_place_do_no_harm() -> None:
    losses = np.array([0.0, 0.0, 1.0, 4.0, 0.0, 2.0])
    for centres in (grid(6), np.zeros((6, 3), np.float32)):
        proxy = smoothed(centres, losses)
        assert np.isfinite(proxy.values).all()
        assert (proxy.values >= 0).all()
        assert auto_lambda(centres, losses, z=1) is not None


def test_algorithm_1_takes_the_losses_as_they_are() -> None:
    losses = np.random.default_rng(0).random(50)
    assert verbatim(grid(50), losses).values.tolist() == losses.tolist()


def test_lambda_is_the_slope_of_loss_differences_over_distance() -> None:
    line = np.sort(np.random.default_rng(0).random(200)).astype(np.float32)[:, None]
    assert auto_lambda(line, 3 * line[:, 0].astype(np.float64), z=1) == pytest.approx(3, rel=1e-3)


def test_lambda_is_not_raised_by_what_differs_at_no_distance() -> None:
    """Noise of the same size everywhere is no reason to trust distance: the intercept takes it up."""
    centres = grid(2000)
    noise = np.random.default_rng(3).gamma(4, 1, 2000)
    through_the_origin = np.abs(np.diff(noise)).mean() / 0.05  # 16 neighbours of 2,000 in a square lie about so far
    found = auto_lambda(centres, noise, z=1)
    assert found is not None
    assert found < 0.2 * through_the_origin
