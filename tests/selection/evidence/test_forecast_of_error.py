"""What validated losses let expect of the error: not too good where a few records hold much of the loss."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.benchmarks.corpora import cluster_vectors, designed, made
from tests.benchmarks.coverage import made_clustered
from tithe.selection.evidence.estimate import Forecast, forecast_from_validation, suffices
from tithe.selection.evidence.validation import Validation
from tithe.selection.options.options import Options
from tithe.selection.sampling.design import Design
from tithe.selection.scoring.base import Scoring

FORECASTS = 100


@pytest.fixture(scope="module")
def extreme() -> tuple[np.ndarray, Scoring, Design]:
    """Half of the loss lies in 600 of 40,000 records."""
    case = made("made, extreme losses in rare clusters")
    clustered = cluster_vectors(case.vectors, case.k, case.size)
    options = Options(inputs=(), output=None, loss="column:loss")
    return case.losses, *designed(options, clustered, lambda at: case.losses[at])


def validated(losses: np.ndarray, scoring: Scoring, count: int, seed: int) -> Validation:
    at = np.sort(np.random.default_rng([2, seed]).choice(len(losses), count, replace=False))
    return Validation(at, losses[at], scoring.proxy.values[at], scoring.spreads[at])


@pytest.mark.parametrize("count", [200, 500])
def test_the_truth_lies_within_two_standard_errors(extreme: tuple[np.ndarray, Scoring, Design], count: int) -> None:
    """In 9 forecasts of 10; in 6 of them it did when only the spread of those seen counted."""
    losses, scoring, design = extreme
    everything = np.arange(len(losses))
    all_known = Validation(everything, losses, scoring.proxy.values[everything], scoring.spreads[everything])
    truth = forecast_from_validation(design, all_known, population_size=len(losses)).ratio
    held = 0
    for seed in range(FORECASTS):
        found = forecast_from_validation(design, validated(losses, scoring, count, seed), population_size=len(losses))
        held += abs(found.ratio - truth) < 2 * found.uncertainty
    assert held / FORECASTS >= 0.9


def test_validated_records_that_missed_what_the_centres_show_do_not_suffice(
    extreme: tuple[np.ndarray, Scoring, Design],
) -> None:
    losses, scoring, _ = extreme
    some = [validated(losses, scoring, 50, seed) for seed in range(20)]
    saw_none = [one for one in some if one.losses.max() < 5]
    assert saw_none and not any(suffices(one, scoring.proxy) for one in saw_none)
    assert any(suffices(one, scoring.proxy) for one in some)


def test_much_uncertainty_is_no_verdict() -> None:
    assert "which are too few to tell" in Forecast(1.0, 1.2, 0.5, "validation").sentence()
    assert "0.33 to 1.33 of that" in Forecast(1.0, 1.2, 0.5, "validation").sentence()
    assert Forecast(1.0, 1.01, 0.05, "validation").sentence().endswith("would do as well")


def test_usual_losses_lose_little_by_it() -> None:
    clustered, _ = made_clustered(8000, 80)
    losses = 3 + np.random.default_rng(0).standard_normal(8000) ** 2
    scoring, design = designed(
        Options(inputs=(), output=None, loss="column:loss"),
        replace(clustered, plan=replace(clustered.plan, size=200)),
        lambda at: losses[at],
    )
    found = forecast_from_validation(design, validated(losses, scoring, 500, 0), population_size=8000)
    assert found.uncertainty < 0.15
