"""The parts of a regression: pilot fit, leverages, scores."""

from __future__ import annotations

import numpy as np
import pytest

from tithe.selection.population.candidates import Candidates
from tithe.selection.scoring.regression import UNIFORM, Pilot, influence_scores, pilot_fit


def rows(n: int = 500, d: int = 4, seed: int = 0) -> np.ndarray:
    """Features and target, shape (n, d + 1)."""
    rng = np.random.default_rng(seed)
    x = rng.standard_t(3, (n, d))
    return np.column_stack([x, x @ np.arange(1, d + 1) + rng.normal(size=n)]).astype(np.float32)


def design(data: np.ndarray) -> np.ndarray:
    return np.hstack([np.ones((len(data), 1)), data[:, :-1]]).astype(np.float64)


def test_the_pilot_fit_counts_each_centre_as_often_as_it_has_records() -> None:
    centres, sizes = rows(12).astype(np.float64), np.random.default_rng(1).integers(1, 5, 12)
    repeated = np.repeat(centres, sizes, axis=0)
    expected = np.linalg.lstsq(design(repeated), repeated[:, -1], rcond=None)[0]
    np.testing.assert_allclose(pilot_fit(centres, sizes.astype(np.float64)), expected, rtol=1e-6)


def test_leverages_and_residuals_are_those_of_the_textbook() -> None:
    data = rows()
    x, fit = design(data), np.array([0.5, 1, 2, 3, 4])
    leverage, residual, cells = Pilot.of(x.T @ x, fit).measure(data)
    np.testing.assert_allclose(leverage, np.diag(x @ np.linalg.inv(x.T @ x) @ x.T), rtol=1e-3)
    np.testing.assert_allclose(residual, data[:, -1] - x @ fit, atol=1e-4)
    assert leverage.sum() == pytest.approx(5, rel=1e-3)
    assert len(set(cells.tolist())) == 2**5


def test_features_that_depend_on_one_another_do_no_harm() -> None:
    data = rows()
    data[:, 1] = 2 * data[:, 0]
    data[:, 2] = 0
    x = design(data)
    leverage, _, _ = Pilot.of(x.T @ x, np.zeros(5)).measure(data)
    assert leverage.sum() == pytest.approx(3, rel=1e-3)


def test_scores_have_mean_one_and_bound_the_weights() -> None:
    rng = np.random.default_rng(0)
    leverages, residuals = rng.random(100).astype(np.float32), rng.random(100).astype(np.float32)
    influences = np.sqrt(leverages) * residuals
    candidates = Candidates.without(100, np.flatnonzero(rng.random(100) < 0.3))
    chosen = candidates[np.arange(100)]
    found = influence_scores(influences, leverages, candidates)
    assert found[chosen].mean() == pytest.approx(1)
    assert found[chosen].min() >= UNIFORM
    assert set(found[~chosen].tolist()) == {0.0}
    exact = influence_scores(np.zeros(100, np.float32), leverages, candidates)
    assert exact[chosen].mean() == pytest.approx(1)
