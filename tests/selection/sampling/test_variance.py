"""Forecasts and estimates of the variance against draws, for both designs."""

from __future__ import annotations

import numpy as np
import pytest

from tithe.selection.evidence.estimate import estimate_from_subset, forecast_from_validation
from tithe.selection.evidence.validation import Validation
from tithe.selection.sampling.design import Design
from tithe.selection.sampling.independent import IndependentDesign
from tithe.selection.sampling.pivotal import PivotalDesign
from tithe.selection.sampling.probabilities import inclusion_probabilities
from tithe.selection.sampling.variance import uniform_variance

N, SIZE, DRAWS = 4000, 160, 1500


def population_size(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Losses that drift along the order and scatter around it, and scores that know a little of them."""
    rng = np.random.default_rng(seed)
    losses = 2 + np.sin(np.linspace(0, 12, N)) + rng.gamma(2, 0.3, N)
    return losses, 0.5 + 0.5 * losses / losses.mean() * rng.uniform(0.7, 1.3, N)


def designs(scores: np.ndarray) -> dict[str, Design]:
    return {
        "pivotal": PivotalDesign(inclusion_probabilities(scores, SIZE), np.arange(N), SIZE),
        "iid": IndependentDesign(scores, SIZE),
    }


@pytest.mark.parametrize("name", ["pivotal", "iid"])
def test_the_forecast_is_the_error_of_the_draws(name: str) -> None:
    losses, scores = population_size()
    design = designs(scores)[name]
    errors = []
    for seed in range(DRAWS):
        sample = design.draw(np.random.default_rng(seed))
        errors.append(sample.weights @ losses[sample.positions] - losses.sum())
    measured = np.sqrt(np.mean(np.square(errors)))
    # The standard error of the measured one is 1 / √(2 · 1500), below 2%.
    expected = np.sqrt(design.chances(np.arange(N)).forecast(losses, population_size=N))
    assert expected == pytest.approx(measured, rel=0.1)


@pytest.mark.parametrize("name", ["pivotal", "iid"])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(name: str) -> None:
    losses, scores = population_size()
    design = designs(scores)[name]
    held = 0
    for seed in range(DRAWS):
        sample = design.draw(np.random.default_rng(seed))
        found = estimate_from_subset(design, sample, losses[sample.positions], population_size=N)
        held += found["low"] <= losses.mean() <= found["high"]
    assert 0.93 <= held / DRAWS <= 0.975


@pytest.mark.parametrize("name", ["pivotal", "iid"])
def test_a_random_part_of_the_losses_forecasts_without_bias(name: str) -> None:
    losses, scores = population_size()
    design = designs(scores)[name]
    known = design.chances(np.arange(N)).forecast(losses, population_size=N)
    rng = np.random.default_rng(0)
    found = []
    for _ in range(200):
        at = np.sort(rng.choice(N, 400, replace=False))
        found.append(design.chances(at).forecast(losses[at], population_size=N))
    assert np.mean(found) == pytest.approx(known, rel=0.1)


def test_few_losses_err_to_the_safe_side() -> None:
    losses, scores = population_size()
    design = designs(scores)["pivotal"]
    known = design.chances(np.arange(N)).forecast(losses, population_size=N)
    rng = np.random.default_rng(0)
    found = []
    for _ in range(200):
        at = np.sort(rng.choice(N, 40, replace=False))
        found.append(design.chances(at).forecast(losses[at], population_size=N))
    assert np.mean(found) > known


def test_a_sample_that_takes_all_has_no_error() -> None:
    losses, _ = population_size()
    design = PivotalDesign(np.ones(N), np.arange(N), N)
    sample = design.draw(np.random.default_rng(0))
    found = estimate_from_subset(design, sample, losses[sample.positions], population_size=N)
    assert found["low"] == found["high"] == pytest.approx(losses.mean())
    assert uniform_variance(losses, N, population_size=N) == 0


@pytest.mark.parametrize("name", ["pivotal", "iid"])
def test_equal_scores_in_no_order_are_as_good_as_uniform(name: str) -> None:
    losses = np.random.default_rng(0).permutation(population_size()[0])
    design = designs(np.ones(N))[name]
    everything = np.arange(N)
    validation = Validation(everything, losses, np.ones(N), np.zeros(N))
    found = forecast_from_validation(design, validation, population_size=N)
    assert found.ratio == pytest.approx(1, rel=0.06)
    assert found.source == "all"
    assert found.sentence().endswith("a uniform sample of the same size would do as well")


def test_certain_records_add_nothing_to_the_error() -> None:
    losses, scores = population_size()
    certain = np.arange(0, N, 40)  # 100 of them
    extreme = losses.copy()
    extreme[certain] *= 1000
    everything = np.arange(N)
    for design in (
        PivotalDesign(inclusion_probabilities(scores, SIZE, certain), everything, SIZE),
        IndependentDesign(scores, SIZE, certain),
    ):
        expected = design.chances(everything).forecast(losses, population_size=N)
        assert design.chances(everything).forecast(extreme, population_size=N) == pytest.approx(expected, rel=1e-6)
