"""Duplicates: who stays, and whether those who stay stand for all."""

from __future__ import annotations

import numpy as np
import pytest

from tithe.selection.engine import quantities
from tithe.selection.population.candidates import Candidates
from tithe.selection.population.duplicates import copies_of, those_that_stay, times_copies
from tithe.selection.sampling.copies import CopiesDesign
from tithe.selection.sampling.pivotal import PivotalDesign
from tithe.selection.sampling.probabilities import inclusion_probabilities


def naive(texts: np.ndarray, wanted: np.ndarray, preferred: np.ndarray) -> np.ndarray:
    found = np.zeros(len(texts), np.uint32)
    for text in np.unique(texts[wanted]):
        having = np.flatnonzero((texts == text) & wanted)
        better = np.intersect1d(having, preferred)
        found[min(better) if len(better) else min(having)] = len(having)
    return found


@pytest.mark.parametrize("block", [7, 1 << 18])
@pytest.mark.parametrize("seed", range(6))
def test_one_of_each_text_stays(monkeypatch: pytest.MonkeyPatch, seed: int, block: int) -> None:
    monkeypatch.setattr(quantities, "BLOCK", block)
    rng = np.random.default_rng(seed)
    texts = rng.integers(0, [3, 40, 400][seed % 3], 200)
    candidates = (
        Candidates.without(200, np.flatnonzero(rng.random(200) < 0.3)) if seed < 4 else Candidates.everyone(200)
    )
    wanted = candidates[0:200]
    preferred = np.flatnonzero(wanted & (rng.random(200) < 0.1))
    for given in (preferred, preferred[:0]):
        found = copies_of(texts, candidates, given)
        np.testing.assert_array_equal(found, naive(texts, wanted, given))
        stay = those_that_stay(found)
        assert stay.count == len(np.unique(texts[wanted])) and found.sum() == candidates.count


def test_those_who_stay_stand_for_all_without_bias_and_with_the_right_variance() -> None:
    rng = np.random.default_rng(0)
    texts = np.minimum(rng.pareto(0.8, 1500) * 30, 400).astype(np.int64)  # some texts are there a hundred times
    of_texts = rng.lognormal(0, 0.6, 401) + np.arange(401) / 200
    losses = of_texts[texts]
    copies = copies_of(texts, Candidates.everyone(1500))
    candidates = those_that_stay(copies)
    scores = ((copies > 0) * losses * rng.lognormal(0, 0.4, 1500)).astype(np.float32)
    times_copies(scores, copies)
    stay = np.flatnonzero(copies)
    order = np.concatenate([stay[np.argsort(texts[stay])], np.flatnonzero(copies == 0)])
    probabilities = inclusion_probabilities(scores, 60, candidates=candidates)
    design = CopiesDesign(PivotalDesign(probabilities, order, 60), copies)
    totals, records, estimated = [], [], []
    for seed in range(2500):
        sample = design.draw(rng)
        assert len(np.unique(texts[sample.positions])) == 60
        totals.append(sample.weights @ losses[sample.positions])
        records.append(sample.weights.sum())
        if seed < 300:
            estimated.append(np.sum(design.deviations(sample, losses[sample.positions]) ** 2))
    for found, truth in ((totals, losses.sum()), (records, 1500)):
        assert abs(np.mean(found) - truth) < 3 * np.std(found) / np.sqrt(len(found))
    forecast = design.chances(stay).forecast(losses[stay], population_size=len(stay))
    assert np.sqrt(forecast) == pytest.approx(np.std(totals), rel=0.1)
    assert np.sqrt(np.mean(estimated)) == pytest.approx(np.std(totals), rel=0.15)
