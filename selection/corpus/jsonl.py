"""JSON Lines: one object a line, kept byte for byte."""

from __future__ import annotations

import codecs
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, BinaryIO, NoReturn

import numpy as np
import numpy.typing as npt

from tithe.selection.corpus.batch import BATCH_ROWS, BadRecord, too_large
from tithe.selection.corpus.compression import chunks
from tithe.selection.corpus.inputs import InputFile
from tithe.selection.corpus.reader import Reader
from tithe.selection.storage.places import open_binary

Numbers = npt.NDArray[np.int64]

# Bytes within which a line must end for the next one to be entered.
_LINE = 4 << 20


class JsonlBatch:
    """Lines of one file; a line is parsed when its record is first asked for."""

    def __init__(self, file: InputFile, lines: list[bytes], line_numbers: Numbers, rows: Numbers) -> None:
        self.lines = lines
        """Each without its line end, and without a byte order mark; empty where it is larger than a record may be."""
        self.rows = rows
        self._file = file
        self._line_numbers = line_numbers
        self._records: list[dict[str, Any] | BadRecord] | None = None

    def __len__(self) -> int:
        return len(self.lines)

    def records(self) -> Sequence[dict[str, Any] | BadRecord]:
        """All fields are there."""
        if self._records is None:
            self._records = [parse(line) if line else too_large(self._file.max_record_size) for line in self.lines]
        return self._records

    def invalid(self) -> Mapping[int, str]:
        return {i: record.reason for i, record in enumerate(self.records()) if isinstance(record, BadRecord)}

    def column(self, name: str) -> list[Any]:
        return [record.get(name) if isinstance(record, dict) else None for record in self.records()]

    def place(self, i: int) -> str:
        """The number of the physical line, from 1."""
        return f"{self._file.path}, line {self._line_numbers[i] + _lines_before(self._file)}"

    def select(self, positions: Numbers) -> JsonlBatch:
        chosen = JsonlBatch(
            self._file, [self.lines[i] for i in positions], self._line_numbers[positions], self.rows[positions]
        )
        if self._records is not None:
            chosen._records = [self._records[i] for i in positions]
        return chosen


class JsonlReader(Reader):
    """Read from its beginning; where it is plain, it can be entered at any line."""

    def read(self, file: InputFile, first_row: int, fields: Collection[str] | None) -> Iterator[JsonlBatch]:
        return read_jsonl(file, first_row)

    def places(self, file: InputFile, count: int) -> Iterable[InputFile]:
        if file.compression is not None and file.spooled is None:
            return [file]
        return [replace(file, part=part) for part in pairwise([*_starts(file, count), file.size])]

    def ends(self, file: InputFile, part_bytes: int) -> Iterator[int]:
        if file.compression is not None or file.size <= part_bytes:
            return
        try:
            with open_binary(file.readable) as lines:
                end = 0
                while end < file.size:
                    end = start_of_line(lines, min(end + part_bytes, file.size)) or file.size
                    yield end
        except OSError as error:
            raise file.unreadable(error, "cannot be read") from error


def _starts(file: InputFile, count: int) -> list[int]:
    """Where lines begin, near places evenly apart."""
    try:
        with open_binary(file.readable) as lines:
            found = {start_of_line(lines, at, within=_LINE) for at in range(0, file.size, file.size // count + 1)}
    except OSError as error:
        raise file.unreadable(error, "cannot be read") from error
    return sorted(start for start in found if start is not None and start < file.size)


def read_jsonl(file: InputFile, first_row: int) -> Iterator[JsonlBatch]:
    """Batches of the records of a file; the first has the overall row `first_row`. Blank lines are no records."""
    row, line_number = first_row, 0
    for lines in _lines(file):
        if line_number == 0 and lines[0] and (file.part is None or file.part[0] == 0):
            lines[0] = lines[0].removeprefix(codecs.BOM_UTF8)
        numbered = [
            (number, line or b"")
            for number, line in enumerate(lines, line_number + 1)
            if line is None or (line and not line.isspace())
        ]
        line_number += len(lines)
        for start in range(0, len(numbered), BATCH_ROWS):
            part = numbered[start : start + BATCH_ROWS]
            rows = np.arange(row, row + len(part))
            yield JsonlBatch(
                file, [line.rstrip(b"\r") for _, line in part], np.array([number for number, _ in part], np.int64), rows
            )
            row += len(part)


def start_of_line(lines: BinaryIO, at: int, *, within: int | None = None) -> int | None:
    """Where the first line begins at or after the byte `at`, or the file ends; None where that is not `within` so many
    bytes. However long lines are, little of them is held."""
    if at == 0:
        return 0
    at -= 1  # the byte before it may be the end of a line
    lines.seek(at)
    end = None if within is None else at + within
    while piece := lines.read(_PIECE if end is None else min(_PIECE, end - at)):
        newline = piece.find(b"\n")
        if newline >= 0:
            return at + newline + 1
        at += len(piece)
    return at if end is None or at < end else None


_PIECE = 1 << 20


def _lines(file: InputFile) -> Iterator[list[bytes | None]]:
    """The lines of a file, a list for each chunk: cut at newlines only, whatever else may end a line elsewhere.

    None stands for a line that is larger than a record may be. It comes as soon as that is known, before its end.
    """
    limit = file.max_record_size
    begun = _Begun(limit)
    for chunk in chunks(file):
        head, *rest = chunk.split(b"\n")
        if begun.is_too_large_with(head):
            yield [None]
        if rest:
            last = rest.pop()
            found: list[bytes | None] = [*begun.ended(), *rest]
            if max(map(len, rest), default=0) > limit:
                found = [line if line is None or len(line) <= limit or line.isspace() else None for line in found]
            if found:
                yield found
            begun = _Begun(limit)
            if begun.is_too_large_with(last):
                yield [None]
    last_line = begun.ended()
    if any(last_line):
        yield last_line


@dataclass
class _Begun:
    """A line that has not ended yet. Of one that is too large nothing is held."""

    limit: int
    _pieces: list[bytes] = field(default_factory=list)
    _size: int = 0
    _blank: bool = True
    _given_up: bool = False

    def is_too_large_with(self, piece: bytes) -> bool:
        """Whether the line, no blank one, is larger than the limit with the piece that comes next, and not before."""
        self._size += len(piece)
        self._blank = self._blank and (not piece or piece.isspace())
        if self._size <= self.limit:
            self._pieces.append(piece)
            return False
        self._pieces.clear()
        if self._blank or self._given_up:
            return False
        self._given_up = True
        return True

    def ended(self) -> list[bytes | None]:
        """The line; nothing where it was too large, which was said before."""
        return [] if self._given_up else [b"".join(self._pieces)]


def _lines_before(file: InputFile) -> int:
    """How many lines there are before the part of a file that is read."""
    if file.part is None:
        return 0
    return sum(chunk.count(b"\n") for chunk in chunks(replace(file, part=(0, file.part[0]))))


def parse(line: bytes) -> dict[str, Any] | BadRecord:
    """The object that a line holds; strictly JSON, strictly UTF-8."""
    try:
        record = _DECODER.decode(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return BadRecord(f"invalid UTF-8 at byte {error.start + 1}")
    except json.JSONDecodeError as error:
        return BadRecord(f"invalid JSON: {error.msg} at character {error.colno}")
    except RecursionError:
        return BadRecord("invalid JSON: nested too deeply")
    except ValueError as error:
        return BadRecord(f"invalid JSON: {error}")
    if not isinstance(record, dict):
        return BadRecord(f"not a JSON object but a {type(record).__name__}")
    return record


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


# Made once: json.loads makes a decoder for every call that has options.
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
