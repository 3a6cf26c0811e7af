"""`--dedup` part by part: texts meet by ranges of their keys, and what comes of it goes back to the parts.

A range of keys is looked after by whoever is told to work on the part of the same number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tithe.selection.engines.exchange import by_range, collected, leave
from tithe.selection.engines.part_facts import PlacedPart, Setup
from tithe.selection.engines.part_work import text_keys
from tithe.selection.engines.scattered import ScatteredHome, at
from tithe.selection.frame.candidates import Candidates
from tithe.selection.own_files import OwnPath
from tithe.selection.per_record import Few, PerRecord, Positions

COPIES = "copies"
"""A quantity of a part, where duplicates are merged."""

_TEXT = np.dtype([("high", "<u8"), ("low", "<u8"), ("rank", "<u4"), ("position", "<i8")])
_COUNT = np.dtype([("position", "<i8"), ("count", "<u4")])


@dataclass(frozen=True)
class _Task:
    setup: Setup
    candidates: Candidates
    preferred: Few
    ranks: Positions
    """Of those preferred."""
    starts: Positions
    """Of the parts."""
    texts: OwnPath
    counts: OwnPath

    @property
    def parts(self) -> int:
        return len(self.starts)


def copies_in_parts(home: ScatteredHome, setup: Setup, candidates: Candidates, preferred: Positions) -> PerRecord:
    """See `frame.duplicates.copies_of`."""
    ranks = np.argsort(preferred)
    folder = home.new_folder()
    task = _Task(setup, candidates, Few(preferred[ranks]), ranks, home.starts, folder / "texts", folder / "counts")
    for work in (_send_texts, _send_counts, _keep_copies):
        home.in_all_parts(work, task)
    return home.quantity(COPIES)


def _send_texts(place: PlacedPart, task: _Task) -> None:
    part = slice(place.start, place.start + place.records)
    with at(place):
        some = np.flatnonzero(task.candidates[part]) if place.records else np.empty(0, np.int64)
    rows = np.empty(place.records, _TEXT)
    if place.records:
        keys = np.ascontiguousarray(text_keys(place.part, task.setup, place.known)).view("<u8")
        rows["high"], rows["low"] = keys[:, 0], keys[:, 1]
    rows["position"] = np.arange(part.start, part.stop)
    rows["rank"] = len(task.ranks)
    here, which = task.preferred.among(part)
    rows["rank"][here] = task.ranks[which]
    rows = rows[some]
    leave(task.texts, place.part.number, rows, by_range(rows["high"], task.parts), task.parts)


def _send_counts(place: PlacedPart, task: _Task) -> None:
    """Which record of each text stays, and how many it stands for."""
    rows = collected(task.texts, task.parts, place.part.number)
    rows = rows[np.lexsort([rows[name] for name in ("position", "rank", "low", "high")])]
    new = np.ones(len(rows), bool)
    new[1:] = _differs(rows["high"]) | _differs(rows["low"])
    firsts = np.flatnonzero(new)
    found = np.empty(len(firsts), _COUNT)
    found["position"], found["count"] = rows["position"][firsts], np.diff(firsts, append=len(rows))
    owners = np.searchsorted(task.starts, found["position"], side="right") - 1
    leave(task.counts, place.part.number, found, owners, task.parts)


def _differs(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    return values[1:] != values[:-1]


def _keep_copies(place: PlacedPart, task: _Task) -> None:
    found = collected(task.counts, task.parts, place.part.number)
    copies = np.zeros(place.records, np.uint32)
    copies[found["position"] - place.start] = found["count"]
    place.keep(COPIES, copies)
