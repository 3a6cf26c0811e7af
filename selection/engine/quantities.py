"""Quantities of every record that need not be held: worked out block by block, or at the records where they are wanted.

A selection holds 16 bytes a record: cluster and distance, place in the order, score. All else is a function of these.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tithe.selection.arrays import Column, Floats, Positions
from tithe.selection.engine.columns import new_column

NOBODY: Positions = np.empty(0, np.int64)
"""The positions of no records."""

BLOCK = 1 << 18
"""Records that are worked on at once: enough that the loop over blocks costs nothing, few enough for the caches."""

# Entries of the table by which records are looked for: as many as records up to here, then a filter.
_TABLE = 1 << 24


class Quantity(Protocol):
    """A quantity of n records, in part or at chosen ones. Arrays of shape (n,) fit, in memory or mapped from disk."""

    def __len__(self) -> int: ...

    def __getitem__(self, at: Any, /) -> npt.NDArray[Any]:
        """Of the records of a slice (with bounds, step 1), or at positions of shape (m,)."""
        ...


class Derived:
    """A function of other quantities, record by record."""

    def __init__(self, function: Callable[..., npt.NDArray[Any]], first: Quantity, *others: Quantity) -> None:
        self._function = function
        self._of = (first, *others)

    def __len__(self) -> int:
        return len(self._of[0])

    def __getitem__(self, at: Any, /) -> npt.NDArray[Any]:
        return self._function(*(quantity[at] for quantity in self._of))


@dataclass(frozen=True)
class Constant:
    """The same for all records."""

    value: float | bool
    records: int

    def __len__(self) -> int:
        return self.records

    def __getitem__(self, at: Any, /) -> npt.NDArray[Any]:
        count = len(range(*at.indices(self.records))) if isinstance(at, slice) else len(at)
        return np.full(count, self.value)


def blocks(count: int) -> Iterator[slice]:
    """range(count) in slices of BLOCK records."""
    return (slice(start, min(start + BLOCK, count)) for start in range(0, count, BLOCK))


def reduced(function: Callable[..., Any], combine: Callable[[Any, Any], Any], start: Any, *quantities: Quantity) -> Any:
    """What `function` finds in each block, combined from the first to the last, beginning with `start`.

    The function is given the slice, and that of each quantity.
    """
    parts = blocks(len(quantities[0]))
    return reduce(combine, (function(part, *(quantity[part] for quantity in quantities)) for part in parts), start)


def positions_where(function: Callable[..., npt.NDArray[np.bool_]], *quantities: Quantity) -> Positions:
    """The positions, ascending, of the records of which a function of quantities is true."""

    def found(part: slice, *values: npt.NDArray[Any]) -> list[Positions]:
        return [part.start + np.flatnonzero(function(*values))]

    return np.concatenate([NOBODY, *reduced(found, operator.add, [], *quantities)])


def materialized(quantity: Quantity, dtype: npt.DTypeLike) -> Column:
    """A quantity as a column, shape (n,)."""
    held = new_column(len(quantity), dtype)
    for part in blocks(len(quantity)):
        held[part] = quantity[part]
    return held


def total(quantity: Quantity) -> float:
    """Σ over all records."""
    return reduced(lambda part, values: float(values.sum(dtype=np.float64)), operator.add, 0.0, quantity)


def totals(labels: Quantity, groups: int, quantity: Quantity | None = None) -> Floats:
    """Σ over the records of each group, or their number; `labels` are from range(groups)."""

    def found(part: slice, label: npt.NDArray[Any], *weights: Floats) -> Floats:
        return np.bincount(label, *weights, minlength=groups).astype(np.float64)

    return reduced(found, operator.add, np.zeros(groups), labels, *([] if quantity is None else [quantity]))


def extremes(quantity: Quantity) -> tuple[float, float]:
    """The smallest and the largest of n >= 1."""

    def found(part: slice, values: npt.NDArray[Any]) -> tuple[float, float]:
        return float(values.min()), float(values.max())

    def wider(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
        return min(one[0], other[0]), max(one[1], other[1])

    return reduced(found, wider, (np.inf, -np.inf), quantity)


def cumulated(quantity: Quantity) -> Iterator[tuple[slice, Floats]]:
    """Each block with its cumulated sums: before its first record, and after each; shape (m + 1,)."""
    so_far = 0.0
    for part in blocks(len(quantity)):
        values = quantity[part]
        sums = np.empty(len(values) + 1)
        sums[0] = 0.0
        np.cumsum(values, out=sums[1:], dtype=np.float64)
        sums += so_far
        so_far = float(sums[-1])
        yield part, sums


def located(targets: Floats, masses: Quantity, factor: float = 1.0) -> tuple[Positions, Floats, Floats]:
    """For each target, ascending: the first record whose cumulated mass passes it; the sums before and after it.

    The masses count `factor` times. A target that all of them together do not reach, by rounding, falls on the last
    record that has one.
    """
    if factor != 1.0:
        masses = Derived(lambda mass: mass * factor, masses)
    at, before, after = np.zeros(len(targets), np.int64), np.zeros(len(targets)), np.zeros(len(targets))
    done = 0
    last = (0, 0.0, 0.0)
    for part, sums in cumulated(masses):
        reached = done + int(np.searchsorted(targets[done:], sums[-1], side="left"))
        found = np.searchsorted(sums[1:], targets[done:reached], side="right")
        at[done:reached], before[done:reached], after[done:reached] = part.start + found, sums[found], sums[found + 1]
        done = reached
        if sums[-1] > sums[0]:
            i = int(np.searchsorted(sums[1:], sums[-1], side="left"))
            last = (part.start + i, float(sums[i]), float(sums[i + 1]))
    at[done:], before[done:], after[done:] = last
    return at, before, after


class Few:
    """Some records, to be recognised among many."""

    def __init__(self, positions: Positions) -> None:
        """`positions` are ascending and distinct."""
        self.positions = positions

    @cached_property
    def _table(self) -> npt.NDArray[np.bool_]:
        """By which most of the others are told apart with one look: of bounded size."""
        size = min(_TABLE, int(self.positions[-1]) + 1)
        table = np.zeros(size, bool)
        table[self.positions % size] = True
        return table

    def __reduce__(self) -> tuple[Any, ...]:
        return Few, (self.positions,)  # the table is sooner made than sent

    def __len__(self) -> int:
        return len(self.positions)

    def among(self, at: slice | npt.NDArray[Any]) -> tuple[Positions, Positions]:
        """Where they are among the records of a slice or at given positions, and which of them these are."""
        if len(self) == 0:
            none = np.empty(0, np.int64)
            return none, none
        if isinstance(at, slice):
            start, stop, _ = at.indices(int(self.positions[-1]) + 1)
            first, last = np.searchsorted(self.positions, [start, stop])
            return self.positions[first:last] - start, np.arange(first, last)
        likely = np.flatnonzero(self._table[at % len(self._table)])
        which = np.minimum(np.searchsorted(self.positions, at[likely]), len(self) - 1)
        right = self.positions[which] == at[likely]
        return likely[right], which[right]


def without(quantity: Quantity, some: Few) -> Quantity:
    """A quantity, but 0 for some records."""
    return _Without(quantity, some) if len(some) else quantity


@dataclass(frozen=True)
class _Without:
    quantity: Quantity
    some: Few

    def __len__(self) -> int:
        return len(self.quantity)

    def __getitem__(self, at: Any, /) -> npt.NDArray[Any]:
        values = self.quantity[at].copy()
        values[self.some.among(at)[0]] = 0
        return values


@dataclass(frozen=True)
class Among:
    """Of each record, whether it is one of some."""

    some: Few
    records: int

    def __len__(self) -> int:
        return self.records

    def __getitem__(self, at: Any, /) -> npt.NDArray[np.bool_]:
        found = np.zeros(len(range(*at.indices(self.records))) if isinstance(at, slice) else len(at), bool)
        found[self.some.among(at)[0]] = True
        return found
