"""Budgets of tokens: draws that meet them, with the probabilities and the error of as many records by count."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tithe.selection.engine import quantities
from tithe.selection.engine.quantities import NOBODY
from tithe.selection.population.candidates import Candidates
from tithe.selection.sampling.pivotal import PivotalDesign
from tithe.selection.sampling.probabilities import inclusion_probabilities
from tithe.selection.sampling.spliced import draw_spliced
from tithe.selection.sampling.tokens import make_token_design

N = 1500


def lengths(count: int, seed: int = 0) -> np.ndarray:
    """Numbers of tokens, of very different size."""
    return np.ceil(np.random.default_rng(seed).lognormal(4, 1.2, count)).astype(np.uint32)


@st.composite
def populations(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Scores, tokens, candidates and some that are certain."""
    count = draw(st.integers(1, 30))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    scores = rng.exponential(size=count) * (rng.random(count) < draw(st.sampled_from([0.0, 0.3, 1.0])))
    tokens = rng.integers(0, draw(st.sampled_from([1, 2, 1000])), count).astype(np.uint32)
    candidate = rng.random(count) < 0.8
    candidate[0] = True
    certain = np.flatnonzero(candidate & (rng.random(count) < 0.1))
    return np.where(candidate, scores, 0.0), tokens, candidate, certain


@given(populations(), st.floats(0, 1.2))
def test_probabilities_spend_what_records_cost(
    population_size: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray], share: float
) -> None:
    scores, tokens, candidate, certain = population_size
    everything = int(tokens[candidate].sum())
    budget = max(round(share * everything), int(tokens[certain].sum()))
    candidates = Candidates(candidate, int(candidate.sum()))
    pi = inclusion_probabilities(scores, budget, certain, candidates, costs=tokens)[0 : len(scores)]
    assert ((pi >= 0) & (pi <= 1)).all() and (pi[certain] == 1).all() and (pi[~candidate] == 0).all()
    assert pi @ tokens == pytest.approx(min(budget, everything), rel=1e-6, abs=1e-6)
    design = make_token_design(scores, tokens, budget, np.arange(len(scores)), candidates, certain)
    expected = [
        inclusion_probabilities(scores, size, certain, candidates)[0 : len(scores)] @ tokens
        for size in range(max(design.size - 1, len(certain)), min(design.size + 2, candidates.count + 1))
    ]
    # No other number of records comes nearer by more than the probabilities bend in between.
    assert abs(design.probabilities[0 : len(scores)] @ tokens - budget) <= max(
        tokens.max(initial=0), min(abs(total - budget) for total in expected)
    )


def test_they_are_those_of_as_many_records_by_count() -> None:
    tokens, scores = lengths(N), np.random.default_rng(1).exponential(size=N)
    budget, everyone = int(tokens.sum() // 20), Candidates.everyone(N)
    design = make_token_design(scores, tokens, budget, np.arange(N), everyone)
    np.testing.assert_array_equal(design.probabilities[0:N], inclusion_probabilities(scores, design.size)[0:N])
    assert abs(design.probabilities[0:N] @ tokens - budget) <= budget / design.size / 2 * 1.01


@pytest.mark.parametrize("kind", ["long tail", "one length", "two lengths", "some without tokens", "one giant"])
def test_a_draw_keeps_every_probability_and_meets_the_total(kind: str) -> None:
    count, size, draws = 40, 12, 1000
    rng = np.random.default_rng(2)
    tokens = {
        "long tail": lengths(count).astype(float),
        "one length": np.full(count, 7.0),
        "two lengths": rng.choice([3.0, 100.0], count),
        "some without tokens": lengths(count) * (rng.random(count) < 0.7),
        "one giant": np.append(rng.integers(20, 80, count - 1), 280.0),
    }[kind]
    scores = rng.uniform(0.1, 1.0, count)
    scores[[3, 17]] = 0.0
    pi = inclusion_probabilities(scores, size)[0:count]
    drawn, totals = np.zeros(count), np.zeros(draws)
    for seed in range(draws):
        sample = draw_spliced(pi, tokens, np.random.default_rng(seed))
        assert len(sample) == size and (np.diff(sample) > 0).all()
        drawn[sample] += 1
        totals[seed] = tokens[sample].sum()
    assert (np.abs(drawn / draws - pi) < 4.5 * np.sqrt(pi * (1 - pi) / draws) + 1e-12).all()
    off = totals - pi @ tokens
    independent = np.sqrt((pi * (1 - pi)) @ tokens**2)
    assert np.abs(off.mean()) < 4.5 * max(off.std(), 1e-9) / draws**0.5
    if kind == "one length":
        assert np.abs(off).max() < 1e-6
    elif kind == "two lengths":  # sums lie 97 apart
        assert np.abs(off).max() < 97 * 1.5
    else:
        assert off.std() < (0.3 if kind == "one giant" else 0.2) * independent


def test_the_error_is_that_of_as_many_records_by_count() -> None:
    """800 draws: the standard error of the ratio is 3.5%. Losses lie in clusters; lengths differ within them."""
    size, draws, rng = 50, 800, np.random.default_rng(3)
    tokens, clusters = lengths(N, 5), np.sort(rng.integers(0, 30, N))
    losses = rng.gamma(2, 1, 30)[clusters] + 0.3 * rng.random(N)
    scores = 0.5 + 0.5 * losses.mean() / 2 * rng.gamma(4, 0.25, N)
    by_count = PivotalDesign(inclusion_probabilities(scores, size), np.arange(N), size)
    budget = int(by_count.probabilities[0:N] @ tokens)
    by_tokens = make_token_design(scores, tokens, budget, np.arange(N), Candidates.everyone(N))
    assert by_tokens.size == size
    errors, off, variances = np.empty((2, draws)), np.empty(draws), np.empty(draws)
    for seed in range(draws):
        counted = by_count.draw(np.random.default_rng([0, seed]))
        sample = by_tokens.draw(np.random.default_rng([1, seed]))
        for number, drawn in enumerate((counted, sample)):
            errors[number, seed] = drawn.weights @ losses[drawn.positions] - losses.sum()
        off[seed] = tokens[sample.positions].sum() / budget - 1
        variances[seed] = np.sum(by_tokens.deviations(sample, losses[sample.positions]) ** 2)
    of_count, of_tokens = np.sqrt(np.mean(errors**2, axis=1))
    assert of_tokens / of_count < 1.1
    assert np.abs(errors[1].mean()) < 4 * of_tokens / draws**0.5
    assert np.abs(off).max() < 0.01
    forecast = np.sqrt(by_tokens.chances(np.arange(N)).forecast(losses, population_size=N))
    assert forecast == pytest.approx(of_tokens, rel=0.15)
    # Neighbours in the sample lie further apart than records that take each other's place.
    assert 0.9 * of_tokens < np.sqrt(variances.mean()) < 1.6 * of_tokens


def test_what_goes_with_the_tokens_is_estimated_without_error() -> None:
    tokens = lengths(N, 6)
    losses = 3.0 + 0.01 * tokens
    size = 60
    by_count = PivotalDesign(inclusion_probabilities(np.ones(N), size), np.arange(N), size)
    design = make_token_design(np.ones(N), tokens, int(size * tokens.mean()), np.arange(N), Candidates.everyone(N))
    sample = design.draw(np.random.default_rng(0))
    assert sample.weights @ losses[sample.positions] == pytest.approx(losses.sum(), rel=0.005)
    assert np.sum(design.deviations(sample, losses[sample.positions]) ** 2) < 1e-9 * losses.sum() ** 2
    assert design.chances(np.arange(N)).forecast(losses, population_size=N) < 1e-9 * losses.sum() ** 2
    assert np.sum(by_count.deviations(sample, losses[sample.positions]) ** 2) > 1e-3 * losses.sum() ** 2


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_one_very_long_record_moves_the_total_of_no_sample(share: float) -> None:
    """It is drawn once in twelve times; then the others make up for it."""
    size, rng = 50, np.random.default_rng(8)
    tokens = rng.integers(20, 200, 600)
    budget = int(size * tokens.mean())
    tokens[77] = share * budget
    design = make_token_design(np.ones(600), tokens, budget, np.arange(600), Candidates.everyone(600))
    with_it, off = 0, []
    for seed in range(200):
        positions = design.draw(np.random.default_rng(seed)).positions
        with_it += 77 in positions
        off.append(tokens[positions].sum() / budget - 1)
    assert with_it > 5
    assert np.abs(off).max() < 0.5 / size + 0.01  # half a record, by the number of records


def test_records_near_one_another_take_each_others_place() -> None:
    """To the last of them: where each hundredth of the order is another kind, two of each are drawn, or nearly so."""
    tokens = lengths(N, 9)
    kind = np.arange(N) // (N // 100)
    design = make_token_design(np.ones(N), tokens, int(200 * tokens.mean()), np.arange(N), Candidates.everyone(N))
    for seed in range(20):
        drawn = np.bincount(kind[design.draw(np.random.default_rng(seed)).positions], minlength=100)
        assert np.abs(np.cumsum(drawn) - design.size / 100 * np.arange(1, 101)).max() < 2


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000))
def test_blocks_change_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pi, tokens = inclusion_probabilities(rng.random(2000), 300)[0:2000], lengths(2000, seed)
    pi = np.where(pi < 1, pi, 0)
    pi *= round(pi.sum()) / pi.sum()
    at_once = draw_spliced(pi, tokens, np.random.default_rng(seed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantities, "BLOCK", 700)
        np.testing.assert_array_equal(draw_spliced(pi, tokens, np.random.default_rng(seed)), at_once)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 300, 1499, 1500])
def test_samples_of_any_size(size: int) -> None:
    tokens = np.ones(N, np.uint32)
    design = make_token_design(np.ones(N), tokens, size, np.arange(N), Candidates.everyone(N), NOBODY)
    positions = design.draw(np.random.default_rng(0)).positions
    assert design.size == size == len(np.unique(positions))
