"""The order in which records that lie in many parts are drawn, and masses along it; see `line`."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tithe.selection.designs.sampling import OrderElsewhere
from tithe.selection.distinct import distinct
from tithe.selection.engines.along import MassesAlong, RememberedPlaces
from tithe.selection.engines.line import Bounds, CellSums, Chain, Keys, Layout, Located, locate, middles
from tithe.selection.engines.random_order import RandomOrder
from tithe.selection.engines.scattered import DISTANCES, LABELS, Place, ScatteredHome, at, blocks_of
from tithe.selection.per_record import PerRecord, Positions, reduced_over, totals

Floats = npt.NDArray[np.float64]

# Records at random by which shells are laid out.
_LOOKED_AT = 8192


class ScatteredOrder(RememberedPlaces):
    """The order in which records are drawn; see `line` and ClustersElsewhere."""

    def __init__(self, home: ScatteredHome, ranks: npt.NDArray[np.int64]) -> None:
        """`ranks` say where in the order of the clusters each of them stands, shape (k,)."""
        labels, distances, k = home.quantity(LABELS), home.quantity(DISTANCES), len(ranks)
        means = totals(labels, k, distances) / np.maximum(totals(labels, k), 1)
        some = distinct(home.records, min(home.records, _LOOKED_AT), np.random.default_rng(0))
        super().__init__(home)
        self.chain = Chain.of(ranks, means, labels[some], distances[some].astype(np.float64))
        self.groups: PerRecord | None = None

    def in_lines(self, groups: PerRecord, count: int) -> ScatteredOrder:
        """See ClustersElsewhere."""
        found = copy(self)
        found.chain, found.groups, found._known = self.chain.in_lines(count), groups, {}
        return found

    def along(self, masses: PerRecord) -> ScatteredMasses:
        """See OrderElsewhere."""
        return ScatteredMasses(self, masses)

    def shuffled(self, keys: PerRecord) -> OrderElsewhere:
        """See ClustersElsewhere."""
        return RandomOrder(self.home, keys)

    def ranked(self, positions: Positions) -> Positions:
        """See ClustersElsewhere."""
        labels, distances = (self.home.quantity(name)[positions] for name in (LABELS, DISTANCES))
        parts = self.home.parts_of(positions)
        keys = self.chain.keys_of(labels, distances, parts)
        return np.lexsort((keys, parts, self.chain.shells_of(labels, distances)))

    def places(self, masses: PerRecord, positions: Positions) -> Floats:
        """See OrderElsewhere."""
        assert isinstance(masses, ScatteredMasses)
        return masses.middles(positions)


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


class ScatteredMasses(MassesAlong):
    """Masses of records, along the order of the clusters; to be summed up and located in. See MassesElsewhere."""

    def __init__(self, order: ScatteredOrder, masses: PerRecord) -> None:
        super().__init__(masses)
        self._order, self._home = order, order.home
        self._along = self._home.share(_Along(masses, order.chain, order.groups))
        self._sums = self._home.start_in_parts(_sums_of_part, self._along)
        self._layout = Layout.of(self._home.results(self._sums), order.chain)

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
