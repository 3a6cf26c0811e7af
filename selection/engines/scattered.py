"""Quantities of records that lie in many parts: their values stay with the parts, functions of them come to them.

A selection works on all records by a few functions of `per_record`. Of quantities kept here, they are worked out part
by part, by an Executor; what comes back is combined in the order of the parts.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import reduce
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tithe.selection.engines.executor import Executor
from tithe.selection.own_files import OwnPath
from tithe.selection.per_record import (
    BLOCK,
    Derived,
    PerRecord,
    Positions,
    cumulated_over,
    located_over,
    reduced_over,
)

Floats = npt.NDArray[np.float64]

LABELS, DISTANCES = "labels", "squared_distances"
"""The quantities that every part has."""

# Lookups remembered: what is written of a sample asks for the same records again and again.
_REMEMBERED = 8


class Place(Protocol):
    """Where the values of one part are."""

    @property
    def start(self) -> int:
        """The position of its first record, among all."""
        ...

    @property
    def records(self) -> int: ...

    def quantity(self, name: str) -> PerRecord:
        """One of its records; called where it is."""
        ...


_HERE: ContextVar[Place | None] = ContextVar("here", default=None)


class Scattered:
    """A quantity by its name. Where a part is at hand, its values; elsewhere only those at chosen positions."""

    def __init__(self, home: ScatteredHome | None, name: str, records: int) -> None:
        self.home = home
        self._name = name
        self._records = records

    def __len__(self) -> int:
        return self._records

    def __getitem__(self, at: Any, /) -> npt.NDArray[Any]:
        here = _HERE.get()
        if here is not None:
            values = here.quantity(self._name)
            return values[
                slice(at.start - here.start, at.stop - here.start) if isinstance(at, slice) else at - here.start
            ]
        if self.home is None or isinstance(at, slice):
            raise TypeError(f"{self._name}: not all values are ever here")
        return self.home.lookup(self._name, at)

    def __reduce__(self) -> tuple[Any, ...]:
        return Scattered, (None, self._name, self._records)  # a part needs no home


class ScatteredHome:
    """The parts of a corpus, and who works on them; see `per_record.Home`."""

    def __init__(self, executor: Executor, places: Sequence[Place], scratch: OwnPath | None = None) -> None:
        """`places` are those of all parts, in the order of their records; `scratch` is a folder that they share."""
        self.executor = executor
        self._places = places
        self._scratch = scratch
        self.starts = np.array([place.start for place in places], np.int64)
        self._lookups: dict[tuple[str, bytes], npt.NDArray[Any]] = {}
        self._largest = int(np.argmax([place.records for place in places]))
        self.records = sum(place.records for place in places)

    def quantity(self, name: str) -> Scattered:
        """The one of this name."""
        return Scattered(self, name, self.records)

    def reduced(
        self, function: Callable[..., Any], combine: Callable[[Any, Any], Any], start: Any, *quantities: PerRecord
    ) -> Any:
        """See `per_record.reduced`."""
        task = self.share((function, combine, start, quantities))
        found = self.executor.map(_reduced_part, ((place, task) for place in self._places))
        return reduce(combine, found, start)

    def located(self, targets: Floats, masses: PerRecord, factor: float) -> tuple[Positions, Floats, Floats]:
        """See `per_record.located`."""
        task = (masses, factor)
        sums = np.array(self.in_all_parts(_mass_of_part, task))
        ends = np.cumsum(sums)
        starts = ends - sums
        # By rounding, a target may lie beyond all of them.
        owners = np.minimum(np.searchsorted(ends, targets, side="right"), int(np.flatnonzero(sums)[-1]))
        edges = np.searchsorted(owners, np.arange(len(sums) + 1)).tolist()
        spans = [(number, low, high) for number, (low, high) in enumerate(pairwise(edges)) if low < high]
        shared = self.share(task)
        calls = ((number, (targets[low:high] - starts[number], shared)) for number, low, high in spans)
        at, before, after = np.empty(len(targets), np.int64), np.empty(len(targets)), np.empty(len(targets))
        for (number, low, high), found in zip(spans, self.over_parts(_located_in_part, calls), strict=True):
            at[low:high], before[low:high], after[low:high] = found
            before[low:high] += starts[number]
            after[low:high] += starts[number]
        return at, before, after

    def lookup(self, name: str, positions: Positions) -> npt.NDArray[Any]:
        """A quantity at some positions, in any order; shape (len(positions),)."""
        key = (name, positions.tobytes())
        if key not in self._lookups:
            if len(self._lookups) >= _REMEMBERED:
                self._lookups.pop(next(iter(self._lookups)))
            self._lookups[key] = self._looked_up(name, positions)
        return self._lookups[key]

    def parts_of(self, positions: Positions) -> Positions:
        """The number of the part that holds each of some positions."""
        return np.searchsorted(self.starts, positions, side="right") - 1

    def split(self, positions: Positions) -> Iterator[tuple[int, Positions]]:
        """The numbers of parts that hold any of some positions, and which of these it holds."""
        numbers = self.parts_of(positions)
        order = np.argsort(numbers, kind="stable")
        for which in np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1):
            if len(which):
                yield int(numbers[which[0]]), which

    def over_parts(self, function: Callable[..., Any], calls: Iterable[tuple[int, tuple[Any, ...]]]) -> Iterator[Any]:
        """What a function finds in some parts, given by their numbers with its other arguments."""
        return self.executor.map(function, ((self._places[number], *arguments) for number, arguments in calls))

    def in_all_parts(self, function: Callable[..., Any], task: Any) -> list[Any]:
        """What a function finds in every part, given what all of them are told."""
        shared = self.share(task)
        return list(self.executor.map(function, ((place, shared) for place in self._places)))

    def new_folder(self) -> OwnPath:
        """A folder of their scratch, for a use of its own."""
        assert self._scratch is not None, "parts that exchange anything share a scratch"
        folder = self._scratch / secrets.token_hex(8)
        folder.make()
        return folder

    def _looked_up(self, name: str, positions: Positions) -> npt.NDArray[Any]:
        # Where nothing is asked for, somebody must still say what it would be.
        parts = list(self.split(positions)) or [(self._largest, positions)]
        values = list(self.over_parts(_looked_up_part, [(number, (name, positions[which])) for number, which in parts]))
        found = np.empty(len(positions), values[0].dtype)
        for (_, which), part in zip(parts, values, strict=True):
            found[which] = part
        return found

    # For orders.

    def start_in_parts(self, function: Callable[..., Any], shared: Any) -> list[Any]:
        """Begin a call for each part, given its number and what was shared; what stands for the results."""
        return [self.executor.start(function, place, number, shared) for number, place in enumerate(self._places)]

    def results(self, started: Sequence[Any]) -> Iterator[Any]:
        """Their results, in order; one is held at a time."""
        return (self.executor.result(call) for call in started)

    def share(self, value: Any) -> Any:
        """See Executor."""
        return self.executor.share(value)


@contextmanager
def at(place: Place) -> Iterator[None]:
    """Let quantities be those of a part while the block runs."""
    token = _HERE.set(place)
    try:
        yield
    finally:
        _HERE.reset(token)


def blocks_of(place: Place) -> Iterator[slice]:
    """Its records in slices of BLOCK."""
    end = place.start + place.records
    return (slice(start, min(start + BLOCK, end)) for start in range(place.start, end, BLOCK))


def _reduced_part(place: Place, task: tuple[Any, ...]) -> Any:
    function, combine, start, quantities = task
    with at(place):
        return reduced_over(blocks_of(place), function, combine, start, *quantities)


def _looked_up_part(place: Place, name: str, positions: Positions) -> npt.NDArray[Any]:
    return np.asarray(place.quantity(name)[positions - place.start])


def _mass_of_part(place: Place, task: tuple[PerRecord, float]) -> float:
    masses, factor = task
    with at(place):
        sums = cumulated_over(blocks_of(place), Derived(lambda mass: mass * factor, masses))
        return reduce(lambda last, block: float(block[1][-1]), sums, 0.0)


def _located_in_part(place: Place, targets: Floats, task: tuple[PerRecord, float]) -> tuple[Positions, Floats, Floats]:
    with at(place):
        return located_over(blocks_of(place), targets, *task)
