"""The corpus: all records of all inputs, in order, read as often as needed and never held."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tithe.selection.arrays import Rows
from tithe.selection.corpus.batch import Batch
from tithe.selection.corpus.compression import CHUNK, chunks
from tithe.selection.corpus.formats import INPUT_FORMATS
from tithe.selection.corpus.inputs import STDIN, Format, InputFile, expand, with_spooled
from tithe.selection.corpus.some import some_records
from tithe.selection.errors import TitheError, UsageError, printable
from tithe.selection.sizes import MAX_RECORD_SIZE
from tithe.selection.storage.own_files import OwnPath


def open_corpus(
    given: Sequence[str],
    *,
    format: Format | None = None,
    max_record_size: int = MAX_RECORD_SIZE,
    spool: Path,
    stdin: BinaryIO | None = None,
    notify: Callable[[str], object] = lambda line: None,
) -> Corpus:
    """The corpus that paths, globs, folders and `-` stand for.

    What cannot be read twice, or not out of order, is first copied into the folder `spool`: standard input, and
    compressed Parquet. A record of more than `max_record_size` bytes is a bad one. `notify` is told what was passed
    over, a line each. Raises TitheError and UsageError as `expand` does, and where Parquet schemas differ.
    """
    files, folder = [], OwnPath(spool)
    for number, file in enumerate(expand(given, format=format, notify=notify)):
        copy = folder / f"input-{number}"
        if file.path == Path(STDIN):
            if stdin is None:
                raise UsageError("-: there is no standard input")
            with copy.create() as out:
                shutil.copyfileobj(stdin, out, CHUNK)
            status = copy.path.stat()
            file = InputFile(file.path, file.format, None, status.st_size, status.st_mtime_ns, copy.path)
        elif file.compression and not INPUT_FORMATS[file.format].streams:
            with copy.create() as out:
                out.writelines(chunks(file))
            file = with_spooled(file, copy.path)
        files.append(replace(file, max_record_size=max_record_size))
    return Corpus(files)


class Corpus:
    """Records of several files as one sequence. Rows count every record from 0, the unusable ones too."""

    def __init__(self, files: Sequence[InputFile], first_row: int = 0) -> None:
        """`first_row` is the overall row of the first record, of files that are a part of a corpus."""
        self.files = tuple(files)
        self._first_row = first_row
        self._rows: list[int | None] = [None] * len(files)
        self.schema = self._common_schema()
        """The Arrow schema, where all files have one."""

    def batches(self, fields: Collection[str] | None) -> Iterator[Batch]:
        """All records in order, in batches of one file each.

        `fields` are the top-level fields that will be looked at: none but these are read from Parquet. None
        reads all. Raises TitheError where a file is damaged, truncated, gone, or not what it was.
        """
        first = self._first_row
        for number, file in enumerate(self.files):
            end = first
            for batch in INPUT_FORMATS[file.format]().read(file, first, fields):
                end = int(batch.rows[-1]) + 1
                yield batch
            self._rows[number] = end - first
            first = end

    def take(self, rows: Rows, fields: Collection[str] | None) -> Iterator[Batch]:
        """The records at some overall rows, ascending and distinct. All rows must have been read once."""
        starts = self._starts()
        for number, file in enumerate(self.files):
            low, high = np.searchsorted(rows, starts[number : number + 2])
            if low == high:
                continue
            first = int(starts[number])
            yield from INPUT_FORMATS[file.format]().take(file, first, rows[low:high] - first, fields)

    @property
    def known_rows(self) -> int | None:
        """Number of records, where it is known without reading them."""
        return None if None in self._rows else sum(row for row in self._rows if row is not None)

    def row_count(self) -> int:
        """Number of records; reads what has not been read yet."""
        return int(self._starts()[-1]) - self._first_row

    def remember_rows(self, file_rows: Sequence[int]) -> None:
        """Take the number of records of each file from an earlier reading of the same bytes."""
        self._rows = list(file_rows)

    def file_rows(self) -> list[int]:
        """Number of records in each file."""
        return np.diff(self._starts()).tolist()

    def locate(self, rows: Rows) -> tuple[npt.NDArray[np.int64], Rows]:
        """The number of the file, and the row in it, of each overall row."""
        starts = self._starts()
        numbers = np.searchsorted(starts, rows, side="right") - 1
        return numbers, rows - starts[numbers]

    def place(self, row: int) -> str:
        """Where a record is from, for an error message."""
        batch = next(iter(self.take(np.array([row]), ())))
        return batch.place(0)

    def field_names(self) -> list[str]:
        """The top-level fields; where there is no schema, those of some records from all over the corpus."""
        if self.schema is not None:
            return list(self.schema.names)
        names: dict[str, None] = {}
        for file in self.files:
            if _has_schema(file):
                names.update(dict.fromkeys(INPUT_FORMATS[file.format]().schema(file)[0].names))
                break  # all of them have the same
        for record in some_records([file for file in self.files if not _has_schema(file)], None):
            names.update(dict.fromkeys(record))
        return list(names)

    @property
    def has_schema_in_part(self) -> bool:
        """Whether some of the files have a schema, and others have none."""
        return self.schema is None and any(map(_has_schema, self.files))

    def _starts(self) -> Rows:
        if None in self._rows:
            for _ in self.batches(()):
                pass
        return np.cumsum([self._first_row, *(row or 0 for row in self._rows)])

    def _common_schema(self) -> pa.Schema | None:
        common: pa.Schema | None = None
        origin = None
        for number, file in enumerate(self.files):
            if not _has_schema(file):
                continue
            schema, self._rows[number] = INPUT_FORMATS[file.format]().schema(file)
            for name in {name for name in schema.names if schema.names.count(name) > 1}:
                raise TitheError(f"{file.path}: has two columns named {name!r}")
            if common is None:
                common, origin = schema, file
            elif origin is not None and not schema.equals(common):
                raise TitheError(_difference(common, origin, schema, file))
        return common if all(map(_has_schema, self.files)) else None


def _has_schema(file: InputFile) -> bool:
    return INPUT_FORMATS[file.format].has_schema


def _difference(one: pa.Schema, first: InputFile, other: pa.Schema, second: InputFile) -> str:
    for name in [*one.names, *other.names]:
        if name not in other.names:
            return f"{second.path}: has no column {name!r}, which {first.path} has"
        if name not in one.names:
            return f"{second.path}: has a column {name!r}, which {first.path} has not"
        if not one.field(name).equals(other.field(name)):
            types = printable(f"{other.field(name)}, but {one.field(name)}")
            return f"{second.path}: column {name!r} is {types} in {first.path}"
    return f"{second.path}: has its columns in another order than {first.path}"


def check_field(corpus: Corpus, field: str | None, option: str) -> None:
    """Raise UsageError where the corpus's schema lacks a field that an option names, before the long work."""
    if field is not None and corpus.schema is not None and field not in corpus.schema.names:
        names = ", ".join(corpus.schema.names)
        raise UsageError(f"{option}: there is no field {field!r} in {corpus.files[0].path}, which has {names}")
