"""The interval of the mean loss keeps its word, whatever the losses; where it could not, there is none."""

from __future__ import annotations

import numpy as np
import pytest

from tests.benchmarks.coverage import KINDS, coverage, made, made_clustered
from tithe.selection.clustering.clustered_corpus import ClusteredCorpus
from tithe.selection.evidence.interval import FEWEST, gamma_quantile, largest_unseen, skewed_interval


@pytest.fixture(scope="module")
def clustered() -> tuple[ClusteredCorpus, np.ndarray]:
    return made_clustered(8000, 80)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [50, 200])
def test_it_holds_the_truth_as_often_as_it_says(
    clustered: tuple[ClusteredCorpus, np.ndarray], kind: str, size: int
) -> None:
    """In 92% of 1,000 draws or more; T ± t √V did in 54% of them at worst."""
    found = coverage(made(kind, *clustered), size, "plain", 1000)
    assert found.given == 1 or "0" in kind.split()
    assert found.given < 0.05 or found.holds >= 0.92


@pytest.mark.parametrize("option", ["iid", "groups", "excluded", "validated"])
@pytest.mark.parametrize("kind", ["lognormal, σ = 1.5", "97.5% are 0"])
def test_so_it_does_with_options(clustered: tuple[ClusteredCorpus, np.ndarray], kind: str, option: str) -> None:
    found = coverage(made(kind, *clustered), 200, option, 400)
    assert found.given > 0.3
    assert found.holds >= 0.92


def test_it_is_not_wide_where_losses_are_not_skewed(clustered: tuple[ClusteredCorpus, np.ndarray]) -> None:
    found = coverage(made("normal", *clustered), 200, "plain", 300)
    rng = np.random.default_rng(0)
    sample = made("normal", *clustered).losses[rng.choice(8000, 200, replace=False)]
    assert found.width < 2 * 1.972 * sample.std() / np.sqrt(200) / sample.mean()


@pytest.mark.parametrize("positive", range(FEWEST))
def test_there_is_none_from_few_losses_above_0(positive: int) -> None:
    losses = np.zeros(100)
    losses[:positive] = 1.0
    assert skewed_interval(float(losses.sum()), losses - losses.mean(), losses, np.ones(100)) is None


def test_many_losses_that_are_alike_have_students_interval() -> None:
    rng = np.random.default_rng(0)
    losses = 100 + rng.standard_normal(4000)
    deviations = losses - losses.mean()
    found = skewed_interval(float(losses.sum()), deviations, losses, np.ones(4000))
    assert found is not None
    margin = 1.96 * np.linalg.norm(deviations)
    assert found == pytest.approx((losses.sum() - margin, losses.sum() + margin), abs=0.12 * margin)


def test_the_scale_of_the_losses_is_that_of_the_interval() -> None:
    losses = np.random.default_rng(0).lognormal(0, 1.5, 60)
    deviations = losses - losses.mean()
    found = skewed_interval(float(losses.sum()), deviations, losses, np.ones(60))
    scaled = skewed_interval(float(losses.sum()) / 1024, deviations / 1024, losses / 1024, np.ones(60))
    assert found is not None and scaled is not None
    assert np.array(scaled) == pytest.approx(np.array(found) / 1024)


def test_the_quantiles_of_a_gamma_distribution() -> None:
    drawn = np.random.default_rng(0).gamma(4.0, 3.0, 200_000)
    for probability in (0.025, 0.5, 0.975):
        assert gamma_quantile(12.0, 36.0, probability) == pytest.approx(np.quantile(drawn, probability), rel=0.01)
    assert gamma_quantile(12.0, 0.0, 0.975) == 12.0


def test_what_is_unseen_is_larger_where_the_tail_is_heavier() -> None:
    rng = np.random.default_rng(0)
    light, heavy = rng.standard_normal(1000), rng.pareto(1.5, 1000)
    assert 1.0 < largest_unseen(light) / light.max() < 1.4
    assert 1.8 < largest_unseen(heavy) / heavy.max() <= 10.0
    assert largest_unseen(np.zeros(5)) == 0.0
