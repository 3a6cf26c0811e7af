"""Numbers that go from every part to others, through files in the scratch of the run.

Whoever works on a part leaves what it has for each destination in one file, in the order of these; whoever works on a
destination takes it from all files. Either may be done again, since a machine was lost.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tithe.selection.engines.kept import keep, kept
from tithe.selection.own_files import OwnPath

Destinations = npt.NDArray[np.int64]

_SENT, _ENDS = "sent", "ends"


def leave(folder: OwnPath, source: int, rows: npt.NDArray[Any], destinations: Destinations, count: int) -> None:
    """Leave rows, shape (m,), for the destinations, from range(`count`), that each is meant for."""
    order = np.argsort(destinations, kind="stable")
    keep(folder / str(source), _SENT, rows[order])
    keep(folder / str(source), _ENDS, np.searchsorted(destinations[order], np.arange(count + 1)))


def collected(folder: OwnPath, sources: int, destination: int) -> npt.NDArray[Any]:
    """What all sources left for a destination, in their order."""
    found = []
    for source in range(sources):
        ends = kept(folder / str(source), _ENDS)
        found.append(kept(folder / str(source), _SENT)[ends[destination] : ends[destination + 1]])
    return np.concatenate(found)


def by_range(keys: npt.NDArray[np.uint64], count: int) -> Destinations:
    """Of `count` equal ranges of 64-bit numbers the one that holds each."""
    return (((keys >> np.uint64(32)) * np.uint64(count)) >> np.uint64(32)).astype(np.int64)
