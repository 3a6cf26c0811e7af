"""k and the budget, from whichever option the user gives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tithe.selection.errors import UsageError
from tithe.selection.options.plan import make_plan


def test_by_default_the_budget_is_k_plus_400() -> None:
    plan = make_plan(55_185)
    assert (plan.clusters, plan.size, plan.epsilon) == (235, 635, 0.05)


def test_independent_draws_follow_algorithm_1() -> None:
    assert make_plan(55_185, epsilon=0.1, sampler="iid").size == 207  # ⌈100 (2 + 0.2/3)⌉


def test_a_large_corpus_keeps_half_of_the_budget_for_the_sample() -> None:
    plan = make_plan(100_000_000)
    assert (plan.clusters, plan.size) == (400, 800)


@pytest.mark.parametrize(("epsilon", "sample"), [(0.1, 100), (0.01, 10_000), (1, 1), (0.3, 12)])
def test_the_sample_is_one_over_epsilon_squared_rounded_up(epsilon: float, sample: int) -> None:
    assert make_plan(10**9, clusters=50, epsilon=epsilon).size == 50 + sample


def test_a_size_or_a_fraction_sets_the_budget_and_half_of_it_bounds_k() -> None:
    assert make_plan(10_000, size=60).clusters == 30
    assert make_plan(10_000, fraction=(0.05,)).size == 500
    assert make_plan(10_000, fraction=(1e-9,)).size == 1
    assert make_plan(10_000, size=3000).clusters == 100


@given(
    st.integers(1, 10**7),
    st.one_of(st.none(), st.integers(1, 10**8)),
    st.sampled_from([{}, {"size": 5}, {"size": 10**9}, {"fraction": (0.3,)}, {"fraction": (1.0,)}, {"epsilon": 0.02}]),
    st.sampled_from(["pivotal", "iid"]),
)
def test_neither_k_nor_the_budget_passes_the_corpus(n: int, k: int | None, budget: dict, sampler: str) -> None:
    plan = make_plan(n, clusters=k, sampler=sampler, **budget)  # type: ignore[arg-type]
    assert 1 <= plan.clusters <= n
    assert 1 <= plan.size <= n
    assert plan.takes_all == (plan.size == n)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"size": 5, "fraction": (0.1,)}, "--size and --fraction"),
        ({"size": 0}, "--size 0"),
        ({"fraction": (0.0,)}, "--fraction 0.0"),
        ({"fraction": (1.5,)}, "--fraction 1.5"),
        ({"fraction": (float("nan"),)}, "--fraction nan"),
        ({"epsilon": 0.0}, "--epsilon 0.0"),
        ({"epsilon": -1.0}, "--epsilon -1.0"),
        ({"clusters": 0}, "--clusters 0"),
    ],
)
def test_options_out_of_range_are_named(options: dict, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        make_plan(100, **options)
