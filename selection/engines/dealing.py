"""Records dealt out anew, by ranges of their keys, so that all records of a range lie in one place and in their order.

A range is looked after by whoever is told to work on the part of the same number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tithe.selection.engines.exchange import collected, leave
from tithe.selection.engines.scattered import Place, ScatteredHome, at, blocks_of
from tithe.selection.own_files import OwnPath
from tithe.selection.per_record import PerRecord, Positions


@dataclass(frozen=True)
class Deal:
    """What is dealt out: records whose first value is above 0, and their values."""

    keys: PerRecord
    """Numbers of 63 bits."""
    values: tuple[PerRecord, ...]
    bounds: npt.NDArray[np.int64]
    """Where the second and each further range of keys begins; one range for each part."""
    starts: Positions
    """Of the parts."""
    folder: OwnPath

    @property
    def parts(self) -> int:
        return len(self.starts)

    @property
    def row(self) -> np.dtype[Any]:
        """Of a record: its key, its position and its values."""
        values = [(str(number), "<f8") for number in range(len(self.values))]
        return np.dtype([("key", "<i8"), ("position", "<i8"), *values])

    def number(self, place: Place) -> int:
        """Of the part, and of the range."""
        return int(np.searchsorted(self.starts, place.start, side="right")) - 1

    def taken(self, place: Place) -> npt.NDArray[Any]:
        """The records of a range, in the order of their keys."""
        rows = collected(self.folder, self.parts, self.number(place))
        return rows[np.lexsort((rows["position"], rows["key"]))]


def dealt_out(home: ScatteredHome, keys: PerRecord, bounds: npt.NDArray[np.int64], *values: PerRecord) -> Deal:
    """Deal out the records of all parts; see Deal."""
    deal = Deal(keys, values, bounds, home.starts, home.new_folder())
    home.in_all_parts(_deal, deal)
    return deal


def _deal(place: Place, deal: Deal) -> None:
    found = [np.empty(0, deal.row)]
    with at(place):
        for part in blocks_of(place):
            first = deal.values[0][part]
            here = np.flatnonzero(first > 0)
            rows = np.empty(len(here), deal.row)
            rows["key"], rows["position"] = deal.keys[part][here], part.start + here
            for number, values in enumerate(deal.values):
                rows[str(number)] = (values[part] if number else first)[here]
            found.append(rows)
    rows = np.concatenate(found)
    # A file for each part, in the order of the ranges.
    leave(deal.folder, deal.number(place), rows, np.searchsorted(deal.bounds, rows["key"], side="right"), deal.parts)
