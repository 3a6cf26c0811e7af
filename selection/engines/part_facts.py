"""What is known of one part of a corpus: how it is worked on, its records, and where their quantities are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from tithe.embedders.base import RecordEncoder
from tithe.selection.bad_records import BadRecords
from tithe.selection.corpus import TextRule
from tithe.selection.engines.kept import OPEN, found_by_all, keep, kept
from tithe.selection.engines.parts import Part
from tithe.selection.engines.scattered import DISTANCES, LABELS
from tithe.selection.options import Options
from tithe.selection.own_files import OwnPath
from tithe.selection.per_record import PerRecord
from tithe.selection.work.arrays import map_numbers

Rows = npt.NDArray[np.int64]

LENGTHS, ROWS, TOKENS = "lengths", "rows", "tokens"
"""Quantities of a part beside those of its clusters: characters of the text, overall row, tokens where asked for."""


@dataclass(frozen=True)
class Setup:
    """What all parts have in common."""

    options: Options
    rule: TextRule | None
    encoder: RecordEncoder | None
    """One that finds vectors in the records; None where texts are encoded."""
    work: OwnPath
    key: Mapping[str, Any]
    """What the embeddings of the corpus depend on."""

    def key_of(self, part: Part) -> dict[str, Any]:
        """The same for those of a part."""
        return {**self.key, "part": name(part)}

    def apart(self, part: Part) -> dict[str, Any]:
        """What tells the part's store of vectors from others: its content."""
        return {"part": [*self.key["inputs"][part.file_number], *name(part)[1:]]}


def name(part: Part) -> list[int]:
    """The numbers that stand for a part in a key."""
    return [part.file_number, *(part.file.part or ())]


@dataclass(frozen=True)
class Records:
    """What is known of the records of a part."""

    rows: int
    """All of them, the unusable ones too."""
    bad: Rows
    """Rows in the part that cannot be used, ascending."""
    places: tuple[str, ...]
    """The first few of these."""
    encoded: int = 0
    """Texts that were given to the encoder."""
    kept: bool = False
    """Whether the embeddings were in the work folder."""
    lengths: OwnPath | None = None
    """The file with the characters of each text."""
    empty: int = 0
    """Records whose text is empty."""

    @property
    def usable(self) -> int:
        return self.rows - len(self.bad)


@dataclass(frozen=True)
class Assigned:
    """What came of the assignment of a part's records to centroids."""

    records: Records
    nearest: Rows
    """Position in the part of the record nearest to each centroid, -1 where it has none there; shape (k,)."""
    distances: npt.NDArray[np.float32]
    """Its squared distance, shape (k,)."""
    cost: float
    by_cells: bool


@dataclass(frozen=True)
class PlacedPart:
    """A part whose records are clustered; a Place."""

    part: Part
    start: int
    first_row: int
    known: Records
    folder: OwnPath
    """Where its labels and distances are."""
    scratch: OwnPath
    """Where quantities are that only this run needs."""

    def __str__(self) -> str:
        return str(self.part)

    @property
    def records(self) -> int:
        return self.known.usable

    def quantity(self, name: str) -> PerRecord:
        """See Place."""
        if name == ROWS:
            return _OverallRows(self.known, self.first_row)
        if name == LENGTHS:
            return lengths_in(self.known.lengths)
        return kept(self.folder if name in (LABELS, DISTANCES) else self.scratch, name)

    def keep(self, name: str, values: npt.NDArray[Any]) -> None:
        """Leave a quantity of the records in the scratch."""
        keep(self.scratch, name, values)

    def positions(self, rows: Rows) -> Rows:
        """Where the usable records are among some overall rows of the part, ascending."""
        in_part = np.setdiff1d(rows - self.first_row, self.known.bad)
        return self.start + bad_of(self.known).positions(in_part)


@dataclass(frozen=True)
class _OverallRows:
    known: Records
    first_row: int

    def __len__(self) -> int:
        return self.known.usable

    def __getitem__(self, at: Any, /) -> Rows:
        positions = np.arange(at.start, at.stop) if isinstance(at, slice) else at
        return self.first_row + bad_of(self.known).overall_rows(positions)


def bad_of(known: Records) -> BadRecords:
    """The bad records of a part, as they are known."""
    bad = BadRecords("skip")
    bad.remember(known.bad.tolist(), known.places)
    return bad


@lru_cache(OPEN)
def lengths_in(path: OwnPath | None) -> PerRecord:
    """Characters of each text, of the file that has them; see Records."""
    if path is None:
        return np.empty(0, np.uint32)  # of no records
    with found_by_all(path):
        return map_numbers(path, np.uint32)


def scratch_of(folder: OwnPath, part: Part) -> OwnPath:
    """Where a part's quantities lie that only this run needs."""
    return folder / str(part.number)
