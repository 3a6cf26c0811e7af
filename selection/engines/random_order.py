"""A random order of records that lie in many parts: they are dealt out by ranges of their keys, and sorted there.

So the line along which they are drawn lies in one piece in each range, as the corpus does in each part. A range is
looked after by whoever is told to work on the part of the same number.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tithe.selection.engines.along import MassesAlong, RememberedPlaces
from tithe.selection.engines.exchange import by_range, collected, leave
from tithe.selection.engines.kept import keep, kept
from tithe.selection.engines.scattered import Place, ScatteredHome, at, blocks_of
from tithe.selection.per_record import Few, PerRecord, Positions, cumulated_over

Floats = npt.NDArray[np.float64]

MASSES, POSITIONS = "masses", "positions"
"""The quantities of a range."""

_ROW = np.dtype([("key", "<u8"), ("position", "<i8"), ("mass", "<f8")])


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
        task = _Deal(order.keys, masses, home.starts, home.new_folder())
        home.in_all_parts(_deal, task)
        counts = home.in_all_parts(_sort, task)
        starts = np.cumsum([0, *counts]).tolist()
        ranges = [
            _Range(start, count, str(task.sorted(number)))
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
class _Deal:
    keys: PerRecord
    masses: PerRecord
    starts: Positions
    """Of the parts."""
    folder: Path

    @property
    def parts(self) -> int:
        return len(self.starts)

    def number(self, place: Place) -> int:
        return int(np.searchsorted(self.starts, place.start, side="right")) - 1

    def sorted(self, number: int) -> Path:
        return self.folder / f"sorted-{number}"


@dataclass(frozen=True)
class _Range:
    """The records whose keys are in a range; a Place."""

    start: int
    records: int
    folder: str

    def quantity(self, name: str) -> npt.NDArray[np.float64] | Positions:
        """See Place."""
        return kept(Path(self.folder), name)


def _deal(place: Place, task: _Deal) -> None:
    found = [np.empty(0, _ROW)]
    with at(place):
        for part in blocks_of(place):
            mass = task.masses[part]
            here = np.flatnonzero(mass > 0)
            rows = np.empty(len(here), _ROW)
            rows["key"], rows["position"], rows["mass"] = task.keys[part][here], part.start + here, mass[here]
            found.append(rows)
    rows = np.concatenate(found)
    keys = rows["key"].astype(np.uint64) << np.uint64(1)
    leave(task.folder, task.number(place), rows, by_range(keys, task.parts), task.parts)


def _sort(place: Place, task: _Deal) -> int:
    number = task.number(place)
    rows = collected(task.folder, task.parts, number)
    rows = rows[np.lexsort((rows["position"], rows["key"]))]
    keep(task.sorted(number), MASSES, rows["mass"])
    keep(task.sorted(number), POSITIONS, rows["position"])
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
