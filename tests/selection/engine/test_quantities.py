"""What is worked out block by block against the plain formulas over whole arrays, for any size of the blocks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tithe.selection.clustering.kmeans import Clustering
from tithe.selection.engine import quantities
from tithe.selection.engine.distinct import distinct
from tithe.selection.engine.quantities import (
    Constant,
    Derived,
    Few,
    Quantity,
    cumulated,
    extremes,
    located,
    total,
    totals,
)
from tithe.selection.evidence.estimate import coverage, forecast_from_probes, histogram
from tithe.selection.population.candidates import Candidates
from tithe.selection.sampling.design import Design
from tithe.selection.sampling.independent import IndependentDesign
from tithe.selection.sampling.pivotal import PivotalDesign, SimpleDesign
from tithe.selection.sampling.probabilities import Sample, draw_independent, inclusion_probabilities, open_masses
from tithe.selection.sampling.variance import places_in_order
from tithe.selection.scoring.proxy import Proxy
from tithe.selection.scoring.scores import distances_to_the_power, sensitivity_scores

sizes = st.integers(1, 200)
block_sizes = st.integers(5, 60)
seeds = st.integers(0, 2**32)

# Small blocks are slow, and the machine may have other things to do.
unhurried = settings(deadline=None, max_examples=50)


@contextmanager
def blocks_of(records: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantities, "BLOCK", records)
        yield


def skewed(n: int, rng: np.random.Generator) -> np.ndarray:
    """Scores of which some are zero and some far above the others."""
    return (rng.pareto(1.0, n) * (rng.random(n) < 0.9)).astype(np.float32)


@given(sizes, block_sizes, seeds)
def test_sums_and_extremes_are_those_of_whole_arrays(n: int, block: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, labels = rng.normal(size=n).astype(np.float32), rng.integers(7, size=n).astype(np.int32)
    with blocks_of(block):
        assert total(values) == pytest.approx(values.sum(dtype=np.float64), abs=1e-9)
        assert extremes(values) == (values.min(), values.max())
        np.testing.assert_allclose(totals(labels, 9, values), np.bincount(labels, values, minlength=9), atol=1e-9)
        np.testing.assert_array_equal(totals(labels, 9), np.bincount(labels, minlength=9))
        whole = np.concatenate([[0.0], *(sums[1:] for _, sums in cumulated(values))])
    np.testing.assert_allclose(whole, np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)]), atol=1e-9)


@given(sizes, block_sizes, seeds)
def test_targets_are_located_as_by_one_search(n: int, block: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    masses = rng.integers(0, 4, n).astype(np.float64)  # integers, so that every sum is exact
    masses[rng.integers(n)] += 1
    ends = np.cumsum(masses)
    targets = np.sort(np.concatenate([rng.random(20) * ends[-1], rng.integers(0, ends[-1], 5).astype(float)]))
    with blocks_of(block):
        at, before, after = located(targets, masses)
        beyond, _, _ = located(np.array([float(ends[-1]) + 1]), masses)
    expected = np.searchsorted(ends, targets, side="right")
    np.testing.assert_array_equal(at, expected)
    np.testing.assert_array_equal(after, ends[expected])
    np.testing.assert_array_equal(before, ends[expected] - masses[expected])
    assert beyond[0] == np.flatnonzero(masses)[-1]


@given(st.sets(st.integers(0, 150)), st.lists(st.integers(0, 200)), st.integers(1, 300), st.integers(0, 200))
def test_a_few_records_are_found_among_many(few: set[int], many: list[int], table: int, start: int) -> None:
    wanted, among = np.array(sorted(few), np.int64), np.array(many, np.uint32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantities, "_TABLE", table)
        found = Few(wanted)
    at, which = found.among(among)
    assert at.tolist() == [i for i, record in enumerate(many) if record in few]
    np.testing.assert_array_equal(wanted[which], among[at])
    at, which = found.among(slice(start, start + 20))
    assert (at + start).tolist() == [record for record in range(start, start + 20) if record in few]
    np.testing.assert_array_equal(wanted[which], at + start)


@unhurried
@given(sizes, block_sizes, seeds, st.sampled_from([None, 0.0, 3.0]), st.sampled_from([0.0, 0.5]))
def test_scores_are_those_of_the_formula(
    n: int, block: int, seed: int, smoothness: float | None, uniform_share: float
) -> None:
    rng = np.random.default_rng(seed)
    proxies, spreads = rng.gamma(2, 1, n), rng.random(n)
    excluded = np.flatnonzero(rng.random(n) < 0.3)[: n - 1]
    usable = ~np.isin(np.arange(n), excluded)
    with blocks_of(block):
        candidates = Candidates.without(n, excluded)
        found = sensitivity_scores(proxies, spreads, candidates, smoothness=smoothness, uniform_share=uniform_share)
        np.testing.assert_array_equal(candidates.nth(np.arange(candidates.count)), np.flatnonzero(usable))
    factor = proxies[usable].sum() / spreads[usable].sum() if smoothness is None else smoothness
    values = proxies + factor * spreads
    expected = ((1 - uniform_share) * values + uniform_share * values[usable].mean()) * usable
    np.testing.assert_allclose(found.at(np.arange(n)), expected, rtol=1e-6)
    assert found.smoothness == pytest.approx(factor)


@pytest.mark.parametrize("scale", [1e-60, 1e60])
def test_losses_of_any_unit_fit_into_small_floats(scale: float) -> None:
    losses = np.random.default_rng(0).gamma(2, 1, 50) * scale
    found = sensitivity_scores(losses, np.zeros(50), Candidates.everyone(50), smoothness=0.0, uniform_share=0.5)
    np.testing.assert_allclose(found.at(np.arange(50)), (losses + losses.mean()) / 2, rtol=1e-6)


def plain_probabilities(scores: np.ndarray, size: int, certain: np.ndarray, usable: np.ndarray) -> np.ndarray:
    """The definition, over whole arrays: cap at 1 and rescale the rest, until nothing passes 1."""
    scores = scores.astype(np.float64)
    sure = np.isin(np.arange(len(scores)), certain)
    if np.count_nonzero(scores[~sure]) < size - sure.sum():
        sure |= scores > 0
        scores = usable.astype(np.float64)
    while (left := size - sure.sum()) > 0:
        found = np.where(sure, 1.0, scores * left / scores[~sure].sum())
        if not (over := (found >= 1 - 1e-9) & ~sure).any():
            return found
        sure |= over
    return sure.astype(np.float64)


@unhurried
@given(sizes, block_sizes, seeds, st.data())
def test_probabilities_are_those_of_the_definition(n: int, block: int, seed: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(seed)
    usable = rng.random(n) < 0.8
    usable[0] = True
    scores = skewed(n, rng) * usable
    size = data.draw(st.integers(0, int(usable.sum())))
    certain = np.sort(rng.permutation(np.flatnonzero(usable))[: data.draw(st.integers(0, size))])
    with blocks_of(block):
        found = inclusion_probabilities(scores, size, certain, Candidates.without(n, np.flatnonzero(~usable)))
    np.testing.assert_allclose(found[0:n], plain_probabilities(scores, size, certain, usable), rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(found[rng.permutation(n)].sum(), pytest.approx(size, abs=1e-9 * max(size, 1)))
    some = rng.integers(n, size=10)
    np.testing.assert_array_equal(found[some], found[0:n][some])


def designs(n: int, size: int, rng: np.random.Generator) -> dict[str, Design]:
    scores, order = skewed(n, rng) + np.float32(0.1), rng.permutation(n).astype(np.uint32)
    probabilities = inclusion_probabilities(scores, size, np.arange(min(2, size)))
    return {
        "pivotal": PivotalDesign(probabilities, order, size),
        "simple": SimpleDesign(probabilities, order, size),
        "iid": IndependentDesign(scores, size, np.arange(min(2, size))),
    }


@unhurried
@given(st.integers(2, 200), block_sizes, seeds, st.data())
def test_the_size_of_the_blocks_changes_no_sample(n: int, block: int, seed: int, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, n))
    for name, whole in designs(n, size, np.random.default_rng(seed)).items():
        expected = whole.draw(np.random.default_rng(seed))
        with blocks_of(block):
            cut = designs(n, size, np.random.default_rng(seed))[name]
            found = cut.draw(np.random.default_rng(seed))
            values = np.random.default_rng(seed).random(len(found.positions))
            deviations = cut.deviations(found, values)
        np.testing.assert_array_equal(found.positions, expected.positions)
        np.testing.assert_allclose(found.weights, expected.weights, rtol=1e-9)
        assert deviations == pytest.approx(whole.deviations(expected, values), rel=1e-6, abs=1e-9)


@unhurried
@given(st.integers(2, 200), block_sizes, seeds)
def test_places_are_cumulated_probabilities_to_the_middle(n: int, block: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    design = designs(n, max(1, n // 4), rng)["pivotal"]
    assert isinstance(design, PivotalDesign)
    order = np.asarray(design.order)
    mass = np.where(design.probabilities[order] < 1, design.probabilities[order], 0.0)
    expected = np.empty(n)
    expected[order] = np.cumsum(mass) - mass / 2
    some = np.flatnonzero(rng.random(n) < 0.3)
    with blocks_of(block):
        found = places_in_order(open_masses(design.probabilities, order), order, some)
    np.testing.assert_allclose(found, expected[some], atol=1e-9)


@unhurried
@given(st.integers(2, 200), block_sizes, seeds)
def test_forecasts_from_probes_are_those_of_the_formulas(n: int, block: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, n))
    nearest, losses, left_out = rng.integers(5, size=n).astype(np.int32), rng.gamma(2, 1, 5), rng.gamma(2, 1, 5)
    made = designs(n, size, rng)
    with blocks_of(block):
        found = {name: design.forecast_from_probes(nearest, losses, left_out) for name, design in made.items()}
    pi = made["simple"].probabilities[0:n]  # type: ignore[attr-defined]
    y, open_ = losses[nearest], (pi < 1) & (pi > 0)
    inverse = np.divide(1, pi, where=pi > 0, out=np.ones(n))
    expected = np.bincount(nearest, inverse - 1, minlength=5) * (losses - left_out) ** 2
    np.testing.assert_allclose(found["pivotal"], expected, rtol=1e-9, atol=1e-9)
    if open_.any():
        ratio = ((1 - pi) * y)[open_].sum() / (pi * (1 - pi)).sum()
        expected = np.bincount(nearest, np.where(open_, pi * (1 - pi) * (y * inverse - ratio) ** 2, 0), minlength=5)
        np.testing.assert_allclose(found["simple"], expected, rtol=1e-6, atol=1e-6)
    shares = made["iid"].chances(np.arange(n)).shares  # type: ignore[attr-defined]
    inverse = np.bincount(nearest, np.divide(1, shares, where=shares > 0, out=np.zeros(n)), minlength=5)
    sums = np.bincount(nearest, shares > 0, minlength=5) * left_out
    expected = inverse * (left_out**2 + (losses - left_out) ** 2) - sums * sums.sum()
    np.testing.assert_allclose(found["iid"], expected / max(size - min(2, size), 1), rtol=1e-9, atol=1e-6)


@unhurried
@given(st.integers(1, 200), block_sizes, seeds, st.booleans())
def test_histograms_and_coverage_are_those_of_whole_arrays(n: int, block: int, seed: int, logarithmic: bool) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(1, 50, n).astype(np.uint32)
    at = np.flatnonzero(rng.random(n) < 0.3)
    sample = Sample(at, np.ones(len(at)), rng.random(len(at)))
    clusters = Clustering(
        rng.integers(6, size=n).astype(np.int32),
        rng.random(n, np.float32),
        np.arange(6),
        np.zeros((6, 2), np.float32),
        0,
    )
    with blocks_of(block):
        found = histogram(values, sample, logarithmic=logarithmic)
        covered = coverage(clusters, sample)
    np.testing.assert_array_equal(found["corpus"], np.histogram(values, found["edges"])[0])
    np.testing.assert_allclose(found["subset"], np.histogram(values[at], found["edges"], weights=sample.weights)[0])
    inside = np.isin(clusters.labels, clusters.labels[at])
    distances = np.sqrt(clusters.squared_distances.astype(np.float64))
    assert covered["mass"] == pytest.approx(inside.mean())
    assert covered["distance"] == pytest.approx(distances[inside].sum() / distances.sum())


@pytest.mark.parametrize("block", [17, 64])
@pytest.mark.parametrize("name", ["pivotal", "simple", "iid"])
def test_estimates_are_unbiased_and_probabilities_exact_across_blocks(name: str, block: int) -> None:
    """3,000 draws of 40 of 300 records, in blocks that cut unit intervals: within 4 standard errors, each record's
    frequency within 4.5 of its probability (one of 300 would pass that once in 500 seeds; the seed is fixed)."""
    rng = np.random.default_rng(8)
    design, draws = designs(300, 40, rng)[name], 3000
    values = rng.lognormal(0, 1, 300)
    hits, expected, totals_found = np.zeros(300), np.full(300, np.nan), []
    with blocks_of(block):
        for _ in range(draws):
            sample = design.draw(rng)
            hits[sample.positions] += 1
            expected[sample.positions] = sample.probabilities
            totals_found.append(sample.weights @ values[sample.positions])
    assert abs(np.mean(totals_found) - values.sum()) < 4 * np.std(totals_found) / np.sqrt(draws)
    assert not np.isnan(expected).any()
    open_ = expected < 1
    deviation = (hits / draws - expected)[open_] / np.sqrt(expected * (1 - expected) / draws)[open_]
    assert np.abs(deviation).max() < 4.5
    assert (hits[~open_] == draws).all()


def test_independent_draws_are_those_of_one_search() -> None:
    scores = skewed(500, np.random.default_rng(0))
    cumulated_scores = np.cumsum(scores, dtype=np.float64)
    with blocks_of(13):
        found = draw_independent(scores, 100, np.random.default_rng(1))
    drawn = np.searchsorted(cumulated_scores, np.random.default_rng(1).random(100) * cumulated_scores[-1], side="right")
    positions, counts = np.unique(drawn, return_counts=True)
    np.testing.assert_array_equal(found.positions, positions)
    np.testing.assert_allclose(found.weights, counts * cumulated_scores[-1] / (100 * scores[positions].astype(float)))


@given(st.integers(0, 300), st.data())
def test_distinct_numbers_are_ascending_and_as_many_as_asked_for(count: int, data: st.DataObject) -> None:
    size = data.draw(st.integers(0, count))
    found = distinct(count, size, np.random.default_rng(data.draw(seeds)))
    assert found.dtype == np.int64
    assert len(found) == size
    assert (np.diff(found) > 0).all()
    assert size == 0 or (found[0] >= 0 and found[-1] < count)


@pytest.mark.parametrize("size", [2, 3, 4])
def test_all_subsets_of_distinct_numbers_are_equally_likely(size: int) -> None:
    rng = np.random.default_rng(0)
    found: dict[tuple[int, ...], int] = {}
    for _ in range(6000):
        drawn = tuple(distinct(5, size, rng).tolist())
        found[drawn] = found.get(drawn, 0) + 1
    subsets = {2: 10, 3: 10, 4: 5}[size]
    assert len(found) == subsets
    p = 1 / subsets
    assert np.abs(np.array(list(found.values())) / 6000 - p).max() < 4.5 * np.sqrt(p * (1 - p) / 6000)


def test_quantities_can_be_constant_or_derived() -> None:
    labels: Quantity = np.array([0, 1, 1, 0])
    table = np.array([2.0, 5.0])
    derived = Derived(lambda label, one: table[label] + one, labels, Constant(1.0, 4))
    assert len(derived) == 4
    assert derived[1:3].tolist() == [6.0, 6.0]
    assert derived[np.array([3, 1])].tolist() == [3.0, 6.0]
    assert Constant(True, 4)[0:2].dtype == bool
    assert distances_to_the_power(np.array([4.0, 9.0], np.float32), 1)[0:2].tolist() == [2.0, 3.0]


def test_a_forecast_needs_no_more_than_labels_and_a_table() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(4, size=100).astype(np.int32)
    losses = np.array([1.0, 2.0, 3.0, 4.0])
    proxy = Proxy(np.arange(4), "centres", labels, losses, losses[::-1], Derived(lambda part: losses[part], labels))
    design = PivotalDesign(np.full(100, 0.1), np.arange(100), 10)
    found = forecast_from_probes(design, proxy, Candidates.everyone(100), 100)
    assert found.design == pytest.approx(np.sqrt((9 * (losses - losses[::-1])[labels] ** 2).sum()) / 100)
    assert found.uniform == pytest.approx(losses[labels].std() * np.sqrt(0.9 / 10))
