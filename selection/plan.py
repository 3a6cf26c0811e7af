"""How many clusters and how many records: from ε, a size or a fraction."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from tithe.selection.errors import UsageError

Sampler = Literal["pivotal", "simple", "iid"]

DEFAULT_EPSILON = 0.05


@dataclass(frozen=True)
class Plan:
    """The sizes of a selection, all fixed before the first embedding."""

    records: int
    clusters: int
    size: int
    """Records to draw: distinct ones for pivotal sampling, draws for independent sampling."""
    epsilon: float | None
    """The ε the size was worked out from; None where the user gave the size."""

    @property
    def takes_all(self) -> bool:
        return self.size >= self.records

    def limited_to(self, records: int) -> Plan:
        """The same plan for fewer usable records."""
        return Plan(records, min(self.clusters, records), min(self.size, records), self.epsilon)


def make_plan(
    records: int,
    *,
    clusters: int | None = None,
    epsilon: float | None = None,
    size: int | None = None,
    fraction: float | None = None,
    sampler: Sampler = "pivotal",
) -> Plan:
    """Work out k and the budget for a corpus of `records` records.

    The budget is `size`, or `fraction` of the records, or k + ⌈1/ε²⌉ (for independent draws ⌈ε⁻²(2 + 2ε/3)⌉, as in
    Algorithm 1 of Axiotis et al. 2024). k is `clusters`, or √records but at most half the budget. Neither passes
    the number of records. Raises UsageError where the options contradict each other or are out of range.
    """
    check_size_options(clusters=clusters, epsilon=epsilon, size=size, fraction=fraction)
    root = max(1, round(math.sqrt(records)))
    if size is None and fraction is not None:
        size = max(1, round(fraction * records))
    if size is not None:
        k = clusters or min(root, max(1, size // 2))
        return Plan(records, k, size, None).limited_to(records)
    epsilon = DEFAULT_EPSILON if epsilon is None else epsilon
    sample = math.ceil(round(epsilon**-2, 6))
    k = clusters or min(root, sample)
    draws = math.ceil(round(epsilon**-2 * (2 + 2 * epsilon / 3), 6))
    return Plan(records, k, draws if sampler == "iid" else k + sample, epsilon).limited_to(records)


def check_size_options(
    *, clusters: int | None, epsilon: float | None, size: int | None, fraction: float | None
) -> None:
    """Raise UsageError where the options that set the sizes contradict each other or are out of range."""
    given = [
        name
        for name, value in (("--epsilon", epsilon), ("--size", size), ("--fraction", fraction))
        if value is not None
    ]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} each set the budget: give one of them")
    if clusters is not None and clusters < 1:
        raise UsageError(f"--clusters {clusters}: at least 1 is needed")
    if size is not None and size < 1:
        raise UsageError(f"--size {size}: at least 1 is needed")
    if fraction is not None and not 0 < fraction <= 1:
        raise UsageError(f"--fraction {fraction}: a number above 0 and at most 1 is needed")
    if epsilon is not None and not 0.0005 <= epsilon <= 1:
        raise UsageError(f"--epsilon {epsilon}: a number from 0.0005 to 1 is needed")
