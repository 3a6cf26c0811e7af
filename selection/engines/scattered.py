"""Quantities of records that lie in many parts: their values stay with the parts, functions of them come to them.

A selection works on all records by a few functions of `per_record`. Of quantities kept here, they are worked out part
by part, by an Executor; what comes back is combined in the order of the parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tithe.selection.distinct import distinct
from tithe.selection.engines.executor import Executor
from tithe.selection.engines.line import Bounds, CellSums, Chain, Keys, Layout, Located, locate, middles
from tithe.selection.per_record import (
    BLOCK,
    Derived,
    PerRecord,
    Positions,
    cumulated_over,
    located_over,
    reduced,
    reduced_over,
    totals,
)

Floats = npt.NDArray[np.float64]

LABELS, DISTANCES = "labels", "squared_distances"
"""The quantities that every part has."""

# Records at random by which shells are laid out.
_LOOKED_AT = 8192

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

    def __init__(self, executor: Executor, places: Sequence[Place]) -> None:
        """`places` are those of all parts, in the order of their records."""
        self._executor = executor
        self._places = places
        self._starts = np.array([place.start for place in places], np.int64)
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
        task = self._executor.share((function, combine, start, quantities))
        found = self._executor.map(_reduced_part, ((place, task) for place in self._places))
        return reduce(combine, found, start)

    def located(self, targets: Floats, masses: PerRecord, factor: float) -> tuple[Positions, Floats, Floats]:
        """See `per_record.located`."""
        task = self.share((masses, factor))
        sums = np.array(list(self._executor.map(_mass_of_part, ((place, task) for place in self._places))))
        ends = np.cumsum(sums)
        starts = ends - sums
        # By rounding, a target may lie beyond all of them.
        owners = np.minimum(np.searchsorted(ends, targets, side="right"), int(np.flatnonzero(sums)[-1]))
        edges = np.searchsorted(owners, np.arange(len(sums) + 1)).tolist()
        spans = [(number, low, high) for number, (low, high) in enumerate(pairwise(edges)) if low < high]
        calls = ((number, (targets[low:high] - starts[number], task)) for number, low, high in spans)
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
        return np.searchsorted(self._starts, positions, side="right") - 1

    def split(self, positions: Positions) -> Iterator[tuple[int, Positions]]:
        """The numbers of parts that hold any of some positions, and which of these it holds."""
        numbers = self.parts_of(positions)
        order = np.argsort(numbers, kind="stable")
        for which in np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1):
            if len(which):
                yield int(numbers[which[0]]), which

    def over_parts(self, function: Callable[..., Any], calls: Iterable[tuple[int, tuple[Any, ...]]]) -> Iterator[Any]:
        """What a function finds in some parts, given by their numbers with its other arguments."""
        return self._executor.map(function, ((self._places[number], *arguments) for number, arguments in calls))

    def _looked_up(self, name: str, positions: Positions) -> npt.NDArray[Any]:
        # Where nothing is asked for, somebody must still say what it would be.
        parts = list(self.split(positions)) or [(self._largest, positions)]
        values = list(self.over_parts(_looked_up_part, [(number, (name, positions[which])) for number, which in parts]))
        found = np.empty(len(positions), values[0].dtype)
        for (_, which), part in zip(parts, values, strict=True):
            found[which] = part
        return found

    # For orders.

    def start_in_parts(self, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Begin a call for each part, given its number; what stands for the results."""
        shared = [self._executor.share(argument) for argument in arguments]
        return [self._executor.start(function, place, number, *shared) for number, place in enumerate(self._places)]

    def results(self, started: Sequence[Any]) -> Iterator[Any]:
        """Their results, in order; one is held at a time."""
        return (self._executor.result(call) for call in started)

    def share(self, value: Any) -> Any:
        """See Executor."""
        return self._executor.share(value)


class ScatteredOrder:
    """The order in which records are drawn; see `line`. `order[places]` are the positions of records located before."""

    def __init__(self, home: ScatteredHome, ranks: npt.NDArray[np.int64]) -> None:
        """`ranks` say where in the order of the clusters each of them stands, shape (k,)."""
        labels, distances, k = home.quantity(LABELS), home.quantity(DISTANCES), len(ranks)
        means = totals(labels, k, distances) / np.maximum(totals(labels, k), 1)
        some = distinct(home.records, min(home.records, _LOOKED_AT), np.random.default_rng(0))
        self.home = home
        self.chain = Chain.of(ranks, means, labels[some], distances[some].astype(np.float64))
        self.groups: PerRecord | None = None
        self._known: dict[int, int] = {}

    def in_lines(self, groups: PerRecord, count: int) -> ScatteredOrder:
        """See OrderElsewhere."""
        found = copy(self)
        found.chain, found.groups, found._known = self.chain.in_lines(count), groups, {}
        return found

    def __len__(self) -> int:
        return self.home.records

    def __getitem__(self, at: Any, /) -> Positions:
        return np.array([self._known[place] for place in np.asarray(at).tolist()], np.int64)

    def along(self, masses: PerRecord) -> ScatteredMasses:
        """See OrderElsewhere."""
        return ScatteredMasses(self, masses)

    def ranked(self, positions: Positions) -> Positions:
        """See OrderElsewhere."""
        labels, distances = (self.home.quantity(name)[positions] for name in (LABELS, DISTANCES))
        parts = self.home.parts_of(positions)
        keys = self.chain.keys_of(labels, distances, parts)
        return np.lexsort((keys, parts, self.chain.shells_of(labels, distances)))

    def places(self, masses: PerRecord, positions: Positions) -> Floats:
        """See OrderElsewhere."""
        assert isinstance(masses, ScatteredMasses)
        return masses.middles(positions)

    def remember(self, places: Positions, positions: Positions) -> None:
        """Take note of where located records are."""
        self._known.update(zip(places.tolist(), positions.tolist(), strict=True))


@dataclass(frozen=True)
class _Along:
    """Masses, and the order that they are along; what a part is told."""

    masses: PerRecord
    chain: Chain
    groups: PerRecord | None

    def shells_of(self, place: Place, part: slice) -> Positions:
        """Of records of a part, given by their positions among all."""
        here = slice(part.start - place.start, part.stop - place.start)
        lines = None if self.groups is None else self.groups[part]
        return self.chain.shells_of(place.quantity(LABELS)[here], place.quantity(DISTANCES)[here], lines)

    def in_cells(self, place: Place, number: int) -> tuple[Positions, Keys, Callable[[Positions], Floats]]:
        """The shells, keys and masses of all records of a part."""
        everything = slice(0, place.records)
        labels, distances = place.quantity(LABELS)[everything], place.quantity(DISTANCES)[everything]
        shells = self.shells_of(place, slice(place.start, place.start + place.records))
        keys = self.chain.keys_of(labels, distances, number)
        return shells, keys, lambda members: self.masses[members + place.start]


class ScatteredMasses:
    """Masses of records, along an order; to be summed up and located in. See MassesElsewhere."""

    def __init__(self, order: ScatteredOrder, masses: PerRecord) -> None:
        self._order, self._home, self._masses = order, order.home, masses
        self._along = self._home.share(_Along(masses, order.chain, order.groups))
        self._sums = self._home.start_in_parts(_sums_of_part, self._along)
        self._layout = Layout.of(self._home.results(self._sums), order.chain)
        self.home = self

    def __len__(self) -> int:
        return len(self._masses)

    def __getitem__(self, at: Any, /) -> npt.NDArray[Any]:
        raise TypeError("masses along an order are never all here")

    def reduced(
        self, function: Callable[..., Any], combine: Callable[[Any, Any], Any], start: Any, *quantities: PerRecord
    ) -> Any:
        """See `per_record.Home`: a sum is the same in any order."""
        assert all(quantity is self for quantity in quantities)
        return reduced(function, combine, start, self._masses)

    def located(self, targets: Floats, masses: PerRecord, factor: float) -> tuple[Positions, Floats, Floats]:
        """See `per_record.located`; what is found are places in the order."""
        factors = np.array([factor])
        return self.located_in_lines(targets, factors, factors * self._layout.of_lines)

    def of_lines(self) -> Floats:
        """See MassesElsewhere."""
        return self._layout.of_lines

    def located_in_lines(self, targets: Floats, factors: Floats, lengths: Floats) -> tuple[Positions, Floats, Floats]:
        """See MassesElsewhere."""
        home, layout, all_targets = self._home, self._layout.stretched(factors, lengths), self._home.share(targets)
        calls = (
            (number, (number, bounds, all_targets, self._along))
            for number, bounds in enumerate(layout.bounds(home.results(self._sums)))
        )
        places, before, after = np.full(len(targets), -1, np.int64), np.empty(len(targets)), np.empty(len(targets))
        positions = np.empty(len(targets), np.int64)
        for found in home.over_parts(_located_in_cells, calls):
            at = found.targets
            places[at], before[at], after[at], positions[at] = found.places, found.before, found.after, found.members
        assert (places >= 0).all(), "every target lies in one cell"
        self._order.remember(places, positions)
        return places, before, after

    def middles(self, positions: Positions) -> Floats:
        """Where on the line some records have their middle."""
        home, wanted = self._home, dict(self._home.split(positions))
        calls = [
            (number, (number, bounds, positions[wanted[number]], self._along))
            for number, bounds in enumerate(self._layout.bounds(home.results(self._sums)))
            if number in wanted
        ]
        found = np.empty(len(positions))
        for (number, _), part in zip(calls, home.over_parts(_middles_in_cells, calls), strict=True):
            found[wanted[number]] = part
        return found


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


def _sums_of_part(place: Place, number: int, along: _Along) -> CellSums:
    count = along.chain.shells

    def sums(part: slice, mass: Floats) -> CellSums:
        return CellSums.of(along.shells_of(place, part), mass, count)

    nothing = CellSums(np.zeros(count), np.zeros(count, np.int64))
    with at(place):
        return reduced_over(blocks_of(place), sums, CellSums.plus, nothing, along.masses)


def _located_in_cells(place: Place, number: int, bounds: Bounds, targets: Floats, along: _Along) -> Located:
    with at(place):
        found = locate(targets, bounds, *along.in_cells(place, number))
    return Located(found.targets, found.members + place.start, found.places, found.before, found.after)


def _middles_in_cells(place: Place, number: int, bounds: Bounds, positions: Positions, along: _Along) -> Floats:
    with at(place):
        return middles(positions - place.start, bounds, *along.in_cells(place, number))
