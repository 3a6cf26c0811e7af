"""How many clusters and how many records: from ε, a size or a fraction."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tithe.selection.errors import UsageError
from tithe.selection.sampling.registry import SAMPLERS

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
    smaller: tuple[int, ...] = ()
    """Sizes of further samples, each within the one before, descending."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Of all samples, descending."""
        return (self.size, *self.smaller)

    @property
    def takes_all(self) -> bool:
        return self.size >= self.records

    def limited_to(self, records: int) -> Plan:
        """The same plan for fewer usable records."""
        size, *smaller = (min(size, records) for size in self.sizes)
        return Plan(records, min(self.clusters, records), size, self.epsilon, tuple(smaller))


def make_plan(
    records: int,
    *,
    clusters: int | None = None,
    epsilon: float | None = None,
    size: int | None = None,
    fraction: tuple[float, ...] = (),
    sampler: str = "pivotal",
) -> Plan:
    """Work out k and the budget for a corpus of `records` records.

    The budget is `size`, or a fraction of the records, or what the sampler needs for ε. k is `clusters`, or √records
    but at most half the budget; of several fractions the largest counts. Neither passes the number of records. Raises
    UsageError where the options contradict each other or are out of range.
    """
    check_size_options(clusters=clusters, epsilon=epsilon, size=size, fraction=fraction)
    root = max(1, round(math.sqrt(records)))
    sizes = [max(1, round(part * records)) for part in sorted(fraction, reverse=True)] if size is None else [size]
    if sizes:
        size, *smaller = sizes
        k = clusters or min(root, max(1, size // 2))
        return Plan(records, k, size, None, tuple(smaller)).limited_to(records)
    epsilon = DEFAULT_EPSILON if epsilon is None else epsilon
    sample = math.ceil(round(epsilon**-2, 6))
    k = clusters or min(root, sample)
    return Plan(records, k, SAMPLERS[sampler]().budget(k, epsilon), epsilon).limited_to(records)


def check_size_options(
    *,
    clusters: int | None,
    epsilon: float | None,
    size: int | None,
    fraction: tuple[float, ...],
    tokens: int | None = None,
) -> None:
    """Raise UsageError where the options that set the sizes contradict each other or are out of range."""
    given = [
        name
        for name, there in (
            ("--epsilon", epsilon is not None),
            ("--size", size is not None),
            ("--fraction", bool(fraction)),
            ("--tokens", tokens is not None),
        )
        if there
    ]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} each set the budget: give one of them")
    if clusters is not None and clusters < 1:
        raise UsageError(f"--clusters {clusters}: at least 1 is needed")
    if size is not None and size < 1:
        raise UsageError(f"--size {size}: at least 1 is needed")
    if tokens is not None and tokens < 1:
        raise UsageError(f"--tokens {tokens}: at least 1 is needed")
    for part in fraction:
        if not 0 < part <= 1:
            raise UsageError(f"--fraction {part}: a number above 0 and at most 1 is needed")
        if fraction.count(part) > 1:
            raise UsageError(f"--fraction {part:g}: is there twice")
    if epsilon is not None and not 0.0005 <= epsilon <= 1:
        raise UsageError(f"--epsilon {epsilon}: a number from 0.0005 to 1 is needed")
