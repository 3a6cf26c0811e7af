"""Budgets of tokens: probabilities that spend them, draws that meet them, and nothing but those probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tithe.selection import per_record
from tithe.selection.designs.tokens import draw_balanced, make_token_design, token_probabilities
from tithe.selection.errors import UsageError
from tithe.selection.frame.candidates import Candidates
from tithe.selection.per_record import NOBODY

N = 3000


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
def test_the_probabilities_spend_the_budget(
    population: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray], share: float
) -> None:
    scores, tokens, candidate, certain = population
    everything = int(tokens[candidate].sum())
    budget = max(round(share * everything), int(tokens[certain].sum()))
    pi = token_probabilities(scores, tokens, budget, certain, Candidates(candidate, int(candidate.sum())))[
        0 : len(scores)
    ]
    assert ((pi >= 0) & (pi <= 1)).all() and (pi[certain] == 1).all() and (pi[~candidate] == 0).all()
    assert pi @ tokens == pytest.approx(min(budget, everything), rel=1e-6, abs=1e-6)


def test_they_are_in_proportion_to_the_score_over_the_root_of_the_length() -> None:
    tokens = lengths(N)
    scores = np.random.default_rng(1).exponential(size=N)
    pi = token_probabilities(scores, tokens, int(tokens.sum() // 20), NOBODY, Candidates.everyone(N))[0:N]
    open_ = pi < 1
    rates = pi[open_] * np.sqrt(tokens[open_]) / scores[open_]
    assert open_.sum() > 0 and rates.min() == pytest.approx(rates.max())
    assert (scores / np.sqrt(tokens))[~open_].min(initial=np.inf) > (scores / np.sqrt(tokens))[open_].max()


@pytest.mark.parametrize("kind", ["long tail", "one length", "two lengths", "some without tokens", "one giant"])
def test_a_draw_keeps_every_probability_and_meets_the_total(kind: str) -> None:
    count, draws = 25, 2500
    rng = np.random.default_rng(2)
    tokens = {
        "long tail": lengths(count).astype(float),
        "one length": np.full(count, 7.0),
        "two lengths": rng.choice([3.0, 100.0], count),
        "some without tokens": lengths(count) * (rng.random(count) < 0.7),
        "one giant": np.append(np.full(count - 1, 5.0), 5000.0),
    }[kind]
    pi = rng.uniform(0.01, 0.6, count)
    pi[[3, 17]] = 0.0
    drawn = np.zeros(count)
    totals = np.zeros(draws)
    for seed in range(draws):
        sample = draw_balanced(pi, tokens, np.random.default_rng(seed))
        assert abs(len(sample) - pi.sum()) < 1 + 1e-6
        drawn[sample] += 1
        totals[seed] = tokens[sample].sum()
    assert (np.abs(drawn / draws - pi) < 4.5 * np.sqrt(pi * (1 - pi) / draws) + 1e-12).all()
    independent = np.sqrt((pi * (1 - pi)) @ tokens**2)
    if kind == "one giant":
        # Settled first, and the others, all of them short, cannot make up for it.
        assert totals.mean() == pytest.approx(pi @ tokens, abs=4.5 * independent / draws**0.5)
    elif kind == "two lengths":  # sums lie 97 apart
        assert np.abs(totals - pi @ tokens).max() < 97 * 1.5
    elif kind != "one length":
        assert totals.std() < 0.25 * independent


@pytest.mark.parametrize("share", [0.01, 0.05, 0.3])
def test_the_total_is_within_one_percent_and_the_error_forecast_holds(share: float) -> None:
    rng = np.random.default_rng(3)
    tokens, clusters = lengths(N), np.sort(rng.integers(0, 30, N))
    losses = rng.gamma(2, 1, 30)[clusters] + 0.3 * rng.random(N) + 0.1 * np.log(tokens)
    budget = int(share * tokens.sum())
    design = make_token_design(losses, tokens, budget, np.arange(N), Candidates.everyone(N))
    estimates, totals, variances = [], [], []
    for seed in range(200):
        sample = design.draw(np.random.default_rng(seed))
        totals.append(tokens[sample.positions].sum())
        estimates.append(sample.weights @ losses[sample.positions])
        variances.append(np.sum(design.deviations(sample, losses[sample.positions]) ** 2))
    assert np.abs(np.array(totals) / budget - 1).max() < 0.01
    error = np.std(estimates)
    assert np.mean(estimates) == pytest.approx(losses.sum(), abs=3 * error / 200**0.5)
    forecast = np.sqrt(design.chances(np.arange(N)).forecast(losses, population=N))
    estimated = np.sqrt(np.mean(variances))
    # Rough: the formulas know the order's neighbours, but not how far the last records settle it.
    assert 0.7 * error < forecast < 1.7 * error
    assert 0.7 * error < estimated < 1.7 * error


def test_records_near_one_another_take_each_others_place() -> None:
    tokens = np.full(N, 10, np.uint32)
    values = np.repeat(np.random.default_rng(4).random(100), N // 100)
    design = make_token_design(np.ones(N), tokens, 10 * 200, np.arange(N), Candidates.everyone(N))
    estimates = [
        sample.weights @ values[sample.positions]
        for sample in (design.draw(np.random.default_rng(s)) for s in range(100))
    ]
    assert np.std(estimates) < 0.65 * N * values.std() / 200**0.5


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000))
def test_blocks_change_nothing_that_matters(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pi, tokens = rng.uniform(0, 0.4, 5000), lengths(5000, seed).astype(float)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(per_record, "BLOCK", 700)
        sample = draw_balanced(pi, tokens, rng)
    assert abs(len(sample) - pi.sum()) < 1 + 1e-6
    assert len(np.unique(sample)) == len(sample)
    assert tokens[sample].sum() == pytest.approx(pi @ tokens, rel=0.01)


def test_what_cannot_be_met_is_refused() -> None:
    tokens = np.full(10, 100, np.uint32)
    everyone = Candidates.everyone(10)
    with pytest.raises(UsageError, match=r"--tokens 50: is less than a record; they have 100 tokens on average"):
        make_token_design(np.ones(10), tokens, 50, np.arange(10), everyone)
    with pytest.raises(UsageError, match=r"--tokens 150: the 2 records that are certain have 200 tokens already"):
        make_token_design(np.ones(10), tokens, 150, np.arange(10), everyone, np.array([2, 5]))
