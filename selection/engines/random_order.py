"""A random order of records that lie in many parts: they are dealt out by ranges of their keys, and sorted there.

So the line along which they are drawn lies in one piece in each range, as the corpus does in each part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tithe.selection.engines.along import MassesAlong, RememberedPlaces
from tithe.selection.engines.dealing import Deal, dealt_out
from tithe.selection.engines.kept import keep, kept
from tithe.selection.engines.scattered import Place, ScatteredHome, blocks_of
from tithe.selection.own_files import OwnPath
from tithe.selection.per_record import Few, PerRecord, Positions, cumulated_over

Floats = npt.NDArray[np.float64]

MASSES, POSITIONS = "masses", "positions"
"""The quantities of a range."""


class RandomOrder(RememberedPlaces):
    """The order of the keys of records, which are numbers of 63 bits; see OrderElsewhere."""

    def __init__(self, home: ScatteredHome, keys: PerRecord) -> None:
        super().__init__(home)
        self.keys = keys

    def along(self, masses: PerRecord) -> RandomMasses:
        """See OrderElsewhere."""
        return RandomMasses(self, masses)

    def places(self, masses: PerRecord, positions: Positions) -> Floats:
        """See OrderElsewhere."""
        assert isinstance(masses, RandomMasses)
        return masses.middles(positions)


class RandomMasses(MassesAlong):
    """Masses along a random order: only records that have one are on the line."""

    def __init__(self, order: RandomOrder, masses: PerRecord) -> None:
        super().__init__(masses)
        self._order, home = order, order.home
        parts = len(home.starts)
        bounds = np.array([(number << 63) // parts for number in range(1, parts)], np.int64)
        deal = dealt_out(home, order.keys, bounds, masses)
        counts = home.in_all_parts(_sort, deal)
        starts = np.cumsum([0, *counts]).tolist()
        ranges = [
            _Range(start, count, _sorted(deal, number))
            for number, (start, count) in enumerate(zip(starts, counts, strict=False))
        ]
        self._ranges = ScatteredHome(home.executor, ranges)

    def located(self, targets: Floats, masses: PerRecord, factor: float) -> tuple[Positions, Floats, Floats]:
        """See `per_record.located`; what is found are places in the order."""
        places, before, after = self._ranges.located(targets, self._ranges.quantity(MASSES), factor)
        self._order.remember(places, self._ranges.quantity(POSITIONS)[places])
        return places, before, after

    def middles(self, positions: Positions) -> Floats:
        """Where on the line some records, ascending, have their middle; 0 for those that are not on it."""
        found, start = np.zeros(len(positions)), 0.0
        for which, middles, mass in self._ranges.in_all_parts(_middles, Few(positions)):
            found[which] = start + middles
            start += mass
        return found


@dataclass(frozen=True)
class _Range:
    """The records whose keys are in a range; a Place."""

    start: int
    records: int
    folder: OwnPath

    def quantity(self, name: str) -> npt.NDArray[np.float64] | Positions:
        """See Place."""
        return kept(self.folder, name)


def _sorted(deal: Deal, number: int) -> OwnPath:
    return deal.folder / f"sorted-{number}"


def _sort(place: Place, deal: Deal) -> int:
    rows, folder = deal.taken(place), _sorted(deal, deal.number(place))
    keep(folder, MASSES, rows["0"])
    keep(folder, POSITIONS, rows["position"])
    return len(rows)


def _middles(place: _Range, wanted: Few) -> tuple[Positions, Floats, float]:
    found, middles, mass = [np.empty(0, np.int64)], [np.empty(0)], 0.0
    positions = place.quantity(POSITIONS)
    for part, sums in cumulated_over(
        (slice(block.start - place.start, block.stop - place.start) for block in blocks_of(place)),
        place.quantity(MASSES),
    ):
        here, which = wanted.among(positions[part])
        found.append(which)
        middles.append((sums[here] + sums[here + 1]) / 2)
        mass = float(sums[-1])
    return np.concatenate(found), np.concatenate(middles), mass
