"""JSON Lines: one object a line, kept byte for byte."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from tithe.selection.corpus.batch import BATCH_ROWS, BadRecord
from tithe.selection.corpus.compression import chunks
from tithe.selection.corpus.inputs import InputFile

Numbers = npt.NDArray[np.int64]


class JsonlBatch:
    """Lines of one file; a line is parsed when its record is first asked for."""

    def __init__(self, file: InputFile, lines: list[bytes], line_numbers: Numbers, rows: Numbers) -> None:
        self.lines = lines
        """Each without its line end, and without a byte order mark."""
        self.rows = rows
        self._file = file
        self._line_numbers = line_numbers
        self._records: list[dict[str, Any] | BadRecord] | None = None

    def __len__(self) -> int:
        return len(self.lines)

    def records(self) -> Sequence[dict[str, Any] | BadRecord]:
        """See Batch.records: all fields are there."""
        if self._records is None:
            self._records = [parse(line) for line in self.lines]
        return self._records

    def invalid(self) -> Mapping[int, str]:
        """See Batch.invalid."""
        return {i: record.reason for i, record in enumerate(self.records()) if isinstance(record, BadRecord)}

    def column(self, name: str) -> list[Any]:
        """See Batch.column."""
        return [record.get(name) if isinstance(record, dict) else None for record in self.records()]

    def place(self, i: int) -> str:
        """See Batch.place: the number of the physical line, from 1."""
        return f"{self._file.path}, line {self._line_numbers[i] + _lines_before(self._file)}"

    def select(self, positions: Numbers) -> JsonlBatch:
        """See Batch.select."""
        chosen = JsonlBatch(
            self._file, [self.lines[i] for i in positions], self._line_numbers[positions], self.rows[positions]
        )
        if self._records is not None:
            chosen._records = [self._records[i] for i in positions]
        return chosen


def read_jsonl(file: InputFile, first_row: int) -> Iterator[JsonlBatch]:
    """Batches of the records of a file; the first has the overall row `first_row`. Blank lines are no records."""
    row, line_number = first_row, 0
    for lines in _lines(file):
        if line_number == 0 and (file.part is None or file.part[0] == 0):
            lines[0] = lines[0].removeprefix(codecs.BOM_UTF8)
        numbered = [(number, line) for number, line in enumerate(lines, line_number + 1) if line and not line.isspace()]
        line_number += len(lines)
        for start in range(0, len(numbered), BATCH_ROWS):
            part = numbered[start : start + BATCH_ROWS]
            rows = np.arange(row, row + len(part))
            yield JsonlBatch(
                file, [line.rstrip(b"\r") for _, line in part], np.array([number for number, _ in part], np.int64), rows
            )
            row += len(part)


def _lines(file: InputFile) -> Iterator[list[bytes]]:
    """The lines of a file, a list for each chunk: cut at newlines only, whatever else may end a line elsewhere."""
    begun: list[bytes] = []  # the pieces of a line that is longer than a chunk
    for chunk in chunks(file):
        head, *rest = chunk.split(b"\n")
        begun.append(head)
        if rest:
            last = rest.pop()
            yield [b"".join(begun), *rest]
            begun = [last]
    if any(begun):
        yield [b"".join(begun)]


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
