"""Whatever the budget, the groups and the shape: over 2,000 draws the estimated total is that of the corpus."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.benchmarks.corpora import ground
from tithe.selection.choose import draw, repeats
from tithe.selection.designs.sampling import Sample
from tithe.selection.designs.tokens import make_token_design
from tithe.selection.frame.candidates import Candidates
from tithe.selection.frame.frame import Frame
from tithe.selection.frame.groups import Groups
from tithe.selection.groundwork import Groundwork
from tithe.selection.methods.base import Judgement
from tithe.selection.methods.registry import make_method
from tithe.selection.options import Options
from tithe.selection.per_record import NOBODY, Positions
from tithe.selection.plan import make_plan

Floats = npt.NDArray[np.float64]

N, SIZE, DRAWS = 600, 60, 2000
RNG = np.random.default_rng(7)
VECTORS = np.repeat(RNG.standard_normal((12, 8)), 50, axis=0) + 0.4 * RNG.standard_normal((N, 8))
VECTORS = (VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)).astype(np.float32)
LOSSES = RNG.gamma(1, 1, 12)[np.arange(N) // 50] + 0.5 * RNG.random(N)
SOURCES = RNG.choice(3, N, p=[0.7, 0.2, 0.1]).astype(np.uint16)
TOKENS = np.ceil(RNG.lognormal(3, 1, N)).astype(np.uint32)
BUDGET = int(TOKENS.sum() // 8)
COPIES = np.zeros(N, np.uint32)
COPIES[::2] = RNG.integers(1, 4, N // 2)

# Of the mean over the draws from the truth, in its standard errors: one test in 16,000 would fail by chance.
ERRORS = 4.0


@pytest.fixture(scope="module")
def laid() -> Groundwork:
    return ground(VECTORS, 12, SIZE)


def everyone(**what: Any) -> Frame:
    return Frame(Candidates.everyone(N), **what)


def judged(options: Options, laid: Groundwork, frame: Frame) -> Judgement:
    method = make_method(options, laid)
    judgement = method.judge(LOSSES[method.probes], frame.candidates)
    if frame.copies is not None:
        judgement = judgement.times(frame.copies)
    return judgement


def options(seed: int = 0, **what: Any) -> Options:
    return Options(inputs=(), output=None, loss="column:loss", seed=seed, **what)


def check(estimates: list[float], truth: float) -> None:
    error = np.std(estimates) / len(estimates) ** 0.5
    assert abs(np.mean(estimates) - truth) < ERRORS * error
    assert np.std(estimates) > 0


def groups() -> Groups:
    return Groups("source", SOURCES, ("a", "b", "c"))


@pytest.mark.parametrize("way", ["replicate", "resample"])
def test_lines_without_weights(laid: Groundwork, way: Any) -> None:
    judgement = judged(options(), laid, everyone())
    means, weighted = [], []
    for seed in range(DRAWS):
        asked = options(seed, size=SIZE, weights_as=way)
        ((design, sample),) = draw(asked, laid, everyone(), judgement)
        held = repeats(asked, laid, sample, sample.weights, design.size)
        assert held is not None and held.sum() == SIZE
        means.append(float(held @ LOSSES[sample.positions]) / SIZE)
        weighted.append(float(sample.weights @ LOSSES[sample.positions] / sample.weights.sum()))
    # The lines are unbiased for the weighted mean of the sample; a ratio, of which the bias is of the order 1 / SIZE.
    differences = np.array(means) - weighted
    assert abs(differences.mean()) < ERRORS * differences.std() / DRAWS**0.5
    assert np.mean(means) == pytest.approx(LOSSES.mean(), rel=0.01)


def test_budgets_of_tokens(laid: Groundwork) -> None:
    frame = everyone(tokens=TOKENS)
    asked = options(tokens=BUDGET)
    judgement = judged(asked, laid, frame)
    estimates, totals, drawn = [], [], np.zeros(N)
    design = make_token_design(judgement.scores.values, TOKENS, BUDGET, laid.order, frame.candidates)
    for seed in range(DRAWS):
        sample = design.draw(np.random.default_rng(seed))
        estimates.append(float(sample.weights @ LOSSES[sample.positions]))
        totals.append(int(TOKENS[sample.positions].sum()))
        drawn[sample.positions] += 1
    check(estimates, LOSSES.sum())
    record = BUDGET / design.size
    assert np.abs(np.array(totals) - BUDGET).max() < 1.5 * record
    assert np.mean(np.abs(np.array(totals) - BUDGET) < record) > 0.99
    chances = design.probabilities[0:N]
    # Of each record, the expected weight where it is drawn, and 0 where not, is 1.
    assert (np.abs(drawn / DRAWS - chances) < 4.5 * np.sqrt(chances * (1 - chances) / DRAWS) + 1e-12).all()


def test_lines_of_a_budget_of_tokens(laid: Groundwork) -> None:
    """Each record has as many lines as its weight wants, on average over the draws, and nearly the tokens expected."""
    asked = options(tokens=BUDGET, weights_as="replicate")
    frame = everyone(tokens=TOKENS)
    judgement = judged(asked, laid, frame)
    design = make_token_design(judgement.scores.values, TOKENS, BUDGET, laid.order, frame.candidates)
    sample, tokened = design.draw(np.random.default_rng(0)), replace(laid, tokens=TOKENS)
    held = TOKENS[sample.positions]
    copies = np.array(
        [repeats(replace(asked, seed=seed), tokened, sample, sample.weights, design.size) for seed in range(DRAWS)]
    )
    lines = copies.sum(axis=1)
    assert (lines == lines[0]).all()
    expected = lines[0] * sample.weights / sample.weights.sum()
    up = expected - np.floor(expected)
    assert (np.abs(copies.mean(axis=0) - expected) < 4.5 * np.sqrt(up * (1 - up) / DRAWS) + 1e-9).all()
    assert np.std(copies @ held) < held.mean()  # few are rounded up, and not all of one length


@pytest.mark.parametrize("wanted", [{}, {"group_min": 15, "group_max": 30}, {"group_share": ("a=0.2,other=0.8",)}])
def test_groups(laid: Groundwork, wanted: Any) -> None:
    frame = everyone(groups=groups())
    judgement = judged(options(), laid, frame)
    estimates, sizes, by_group = [], set(), []
    for seed in range(DRAWS):
        asked = options(seed, size=SIZE, group_by="source", **wanted)
        ((_, sample),) = draw(asked, laid, frame, judgement)
        estimates.append(float(sample.weights @ LOSSES[sample.positions]))
        sizes.add(tuple(np.bincount(SOURCES[sample.positions], minlength=3)))
        by_group.append(np.bincount(SOURCES[sample.positions], sample.weights, 3))
    check(estimates, LOSSES.sum())
    assert len(sizes) == 1 and sum(*sizes) == SIZE
    errors = np.std(by_group, axis=0) / DRAWS**0.5
    assert (np.abs(np.mean(by_group, axis=0) - np.bincount(SOURCES)) < 3 * errors).all()


def test_duplicates(laid: Groundwork) -> None:
    candidates = Candidates(COPIES > 0, N // 2)
    frame = Frame(candidates, copies=COPIES, duplicates=int(COPIES.sum()) - N // 2)
    judgement = judged(options(), laid, frame)
    estimates = []
    for seed in range(DRAWS):
        ((_, sample),) = draw(options(seed, size=SIZE, dedup=True), laid, frame, judgement)
        assert len(sample.positions) == SIZE and (COPIES[sample.positions] > 0).all()
        estimates.append(float(sample.weights @ LOSSES[sample.positions]))
    check(estimates, float(COPIES @ LOSSES))


@pytest.mark.parametrize("more", [{}, {"group_by": "source"}, {"dedup": True}])
def test_nested_subsets(laid: Groundwork, more: Any) -> None:
    frame = everyone(groups=groups()) if "group_by" in more else everyone()
    truth = LOSSES.sum()
    if "dedup" in more:
        frame = Frame(Candidates(COPIES > 0, N // 2), copies=COPIES, duplicates=int(COPIES.sum()) - N // 2)
        truth = float(COPIES @ LOSSES)
    laid = replace(laid, plan=make_plan(N, fraction=(0.02, 0.1, 0.05), clusters=12))
    judgement = judged(options(), laid, frame)
    estimates: list[list[float]] = [[], [], []]
    sizes = set()
    for seed in range(DRAWS):
        drawn = draw(options(seed, **more), laid, frame, judgement)
        before = None
        for (_, sample), kept in zip(drawn, estimates, strict=True):
            assert before is None or np.isin(sample.positions, before).all()
            before = sample.positions
            kept.append(float(sample.weights @ LOSSES[sample.positions]))
        sizes.add(tuple(tuple(np.bincount(SOURCES[sample.positions], minlength=3)) for _, sample in drawn))
    for kept in estimates:
        check(kept, truth)
    assert {tuple(map(sum, size)) for size in sizes} == {(60, 30, 12)}
    if "group_by" in more:
        assert len(sizes) == 1


Way = Callable[[Groundwork, int], tuple[Floats, Floats]]
"""From a seed to each record's weight * selected, shape (N,), and whether the record could be drawn."""


def received(sample: Sample, weights: Floats | None = None) -> Floats:
    got = np.zeros(N)
    got[sample.positions] = sample.weights if weights is None else weights
    return got


def given(excluded: Positions = NOBODY, records: int = N) -> bytes:
    """As `draw_up` has it."""
    return json.dumps([records, [], []]).encode() + excluded.tobytes()


def first_sample(laid: Groundwork, seed: int) -> Sample:
    frame = everyone(given=given())
    return draw(options(seed), laid, frame, judged(options(), laid, frame))[0][1]


def plain(laid: Groundwork, seed: int) -> tuple[Floats, Floats]:
    return received(first_sample(laid, seed)), np.ones(N)


def without_the_first(laid: Groundwork, seed: int, **what: Any) -> tuple[Frame, Floats]:
    taken = first_sample(laid, seed).positions
    left = np.ones(N)
    left[taken] = 0
    return Frame(Candidates.without(N, taken), excluded=len(taken), given=given(taken), **what), left


def excluded(laid: Groundwork, seed: int) -> tuple[Floats, Floats]:
    """A second round by `--exclude`, with the seed of the first."""
    frame, left = without_the_first(laid, seed)
    return received(draw(options(seed), laid, frame, judged(options(), laid, frame))[0][1]), left


def excluded_simple(laid: Groundwork, seed: int) -> tuple[Floats, Floats]:
    frame, left = without_the_first(laid, seed)
    asked = options(seed, sampler="simple")
    return received(draw(asked, laid, frame, judged(asked, laid, frame))[0][1]), left


def excluded_groups(laid: Groundwork, seed: int) -> tuple[Floats, Floats]:
    frame, left = without_the_first(laid, seed, groups=groups())
    asked = options(seed, group_by="source", group_min=15)
    return received(draw(asked, laid, frame, judged(asked, laid, frame))[0][1]), left


def excluded_tokens(laid: Groundwork, seed: int) -> tuple[Floats, Floats]:
    frame, left = without_the_first(laid, seed, tokens=TOKENS)
    asked = options(seed, tokens=BUDGET)
    return received(draw(asked, laid, frame, judged(asked, laid, frame))[0][1]), left


def taken_out_by_hand(laid: Groundwork, seed: int) -> tuple[Floats, Floats]:
    """A second round from a file that holds what the first left over; the same clusters, for the sake of time."""
    left = np.setdiff1d(np.arange(N), first_sample(laid, seed).positions)
    clusters = laid.clusters
    some = replace(
        clusters,
        labels=clusters.labels[left],
        squared_distances=clusters.squared_distances[left],
        centres=np.searchsorted(left, clusters.centres) % len(left),
    )
    rest = replace(laid, clusters=some)
    frame = Frame(Candidates.everyone(len(left)), given=given(records=len(left)))
    method = make_method(options(), rest)
    judgement = method.judge(LOSSES[left][method.probes], frame.candidates)
    sample = draw(options(seed), rest, frame, judgement)[0][1]
    could, got = np.zeros(N), np.zeros(N)
    could[left], got[left[sample.positions]] = 1, sample.weights
    return got, could


def nested_after_exclusion(laid: Groundwork, seed: int) -> tuple[Floats, Floats]:
    frame, left = without_the_first(laid, seed)
    laid = replace(laid, plan=make_plan(N, fraction=(0.05, 0.1), clusters=12))
    return received(draw(options(seed), laid, frame, judged(options(), laid, frame))[1][1]), left


def trained_on_the_first(laid: Groundwork, seed: int) -> tuple[Floats, Floats]:
    """A second round, of all records, after a model has learned a little, and the records of the first by heart."""
    frame, asked = everyone(given=given()), options(seed, sampler="iid")
    losses = 0.9 * LOSSES
    losses[draw(asked, laid, frame, judged(asked, laid, frame))[0][1].positions] *= 0.05
    method = make_method(asked, laid)
    judgement = method.judge(losses[method.probes], frame.candidates)
    return received(draw(asked, laid, frame, judgement)[0][1]), np.ones(N)


def copied(laid: Groundwork, seed: int, way: Any, size: int = SIZE) -> tuple[Floats, Floats]:
    """Lines stand for the weights; each is worth as many records as the corpus has for a line."""
    frame, asked = everyone(given=given()), options(seed, weights_as=way, size=size)
    ((_, sample),) = draw(asked, laid, frame, judged(asked, laid, frame))
    held = repeats(asked, laid, sample, sample.weights, size)
    assert held is not None
    return received(sample, held * sample.weights.sum() / size), np.ones(N)


WAYS: dict[str, Way] = {
    "plain": plain,
    "excluded": excluded,
    "excluded, simple": excluded_simple,
    "excluded, groups": excluded_groups,
    "excluded, tokens": excluded_tokens,
    "taken out by hand": taken_out_by_hand,
    "nested, excluded": nested_after_exclusion,
    "trained on the first": trained_on_the_first,
    "replicate": partial(copied, way="replicate"),
    "resample": partial(copied, way="resample"),
}


@pytest.mark.parametrize("way", WAYS)
def test_each_record_has_weight_one_in_expectation(laid: Groundwork, way: str) -> None:
    """E[weight * selected] = 1 for each record, over 1,000 seeds and those of them in which the record could be drawn.

    In units of its standard error each record's mean is off by 1 in root mean square (within 0.15, as no unbiased way
    exceeded in trials of 600 records) and by 5.5 at most. A way that sees the random numbers of an earlier draw again
    is off by 15 to 21.
    """
    sums, squares, times = np.zeros(N), np.zeros(N), np.zeros(N)
    for seed in range(1000):
        got, could = WAYS[way](laid, seed)
        assert not got[could == 0].any()
        sums, squares, times = sums + got, squares + got**2, times + could
    # Where the weights are right, the variance of weight * selected is the mean weight of the selected less 1.
    off = (sums / times - 1) / np.sqrt((squares / sums - 1) / times)
    assert np.sqrt((off**2).mean()) < 1.15
    assert np.abs(off).max() < 5.5
