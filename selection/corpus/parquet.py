"""Parquet: only the columns asked for, in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tithe.selection.corpus.batch import BATCH_ROWS, BadRecord
from tithe.selection.corpus.inputs import InputFile
from tithe.selection.errors import TitheError

Numbers = npt.NDArray[np.int64]

# Pages are read in pieces of this size, so that a large row group need not be in memory as a whole.
_BUFFER = 1 << 20

# Bytes of a batch, about; records of many kilobytes come in batches of fewer rows.
_BATCH_BYTES = 16 << 20

# Rows of a batch where the footer cannot tell how long the values are.
_DICTIONARY_BATCH_ROWS = 1024


class ParquetBatch:
    """Rows of one file."""

    def __init__(self, file: InputFile, table: pa.RecordBatch, rows: Numbers, rows_in_file: Numbers) -> None:
        self.table = table
        self.rows = rows
        self._file = file
        self._rows_in_file = rows_in_file

    def __len__(self) -> int:
        return len(self.rows)

    def records(self) -> Sequence[dict[str, Any] | BadRecord]:
        """See Batch.records."""
        if not self.table.num_columns:
            return [{} for _ in self.rows]
        try:
            return self.table.to_pylist()
        except _NO_PYTHON_VALUE:
            return [self._record(i) for i in range(len(self))]

    def _record(self, i: int) -> dict[str, Any] | BadRecord:
        record = {}
        for name, column in zip(self.table.schema.names, self.table.columns, strict=True):
            try:
                record[name] = column[i].as_py()
            except UnicodeDecodeError:
                return BadRecord(f"invalid UTF-8 in column {name!r}")
            except _NO_PYTHON_VALUE as error:
                return BadRecord(f"column {name!r}: {error}")
        return record

    def invalid(self) -> Mapping[int, str]:
        """See Batch.invalid: none, as long as nobody asks for the values as Python objects."""
        return {}

    def column(self, name: str) -> Any:
        """See Batch.column."""
        return self.table.column(name)

    def place(self, i: int) -> str:
        """See Batch.place: the row in the file, from 0."""
        return f"{self._file.path}, row {self._rows_in_file[i]}"

    def select(self, positions: Numbers) -> ParquetBatch:
        """See Batch.select."""
        return ParquetBatch(
            self._file, _taken(self.table, positions), self.rows[positions], self._rows_in_file[positions]
        )


# What to_pylist raises for strings that are no UTF-8, dates beyond Python's, nanoseconds, time zones nobody knows.
_NO_PYTHON_VALUE = (ValueError, OverflowError, pa.ArrowException)


def parquet_schema(file: InputFile) -> tuple[pa.Schema, int]:
    """The schema, metadata included, and the number of rows."""
    with _opened(file) as parquet:
        return parquet.schema_arrow, parquet.metadata.num_rows


def read_parquet(file: InputFile, first_row: int, fields: Collection[str] | None) -> Iterator[ParquetBatch]:
    """Batches of the rows of a file; the first has the overall row `first_row`. `fields` None reads all columns."""
    with _opened(file) as parquet:
        start = 0
        columns = _leaves(parquet, fields)
        for table in parquet.iter_batches(_batch_rows(parquet.metadata, columns), columns=columns):
            rows = np.arange(start, start + table.num_rows)
            yield ParquetBatch(file, table, rows + first_row, rows)
            start += table.num_rows


def take_parquet(
    file: InputFile, first_row: int, rows_in_file: Numbers, fields: Collection[str] | None
) -> Iterator[ParquetBatch]:
    """Batches of some rows of a file, ascending; row groups without any of them are not read."""
    with _opened(file) as parquet:
        sizes = [parquet.metadata.row_group(i).num_rows for i in range(parquet.num_row_groups)]
        starts = np.cumsum([0, *sizes])
        columns = _leaves(parquet, fields)
        batch_rows = _batch_rows(parquet.metadata, columns)
        for group in range(parquet.num_row_groups):
            low, high = np.searchsorted(rows_in_file, starts[group : group + 2])
            if low == high:
                continue
            start = int(starts[group])
            for table in parquet.iter_batches(batch_rows, row_groups=[group], columns=columns):
                end = start + table.num_rows
                low, high = np.searchsorted(rows_in_file, [start, end])
                if low < high:
                    wanted = rows_in_file[low:high]
                    yield ParquetBatch(file, _taken(table, wanted - start), wanted + first_row, wanted)
                start = end


def _taken(table: pa.RecordBatch, positions: Numbers) -> pa.RecordBatch:
    try:
        return table.take(pa.array(positions))
    except pa.ArrowNotImplementedError:  # Arrow cannot take from every type, string_view for one
        pieces = [table.slice(i, 1) for i in positions.tolist()] or [table.slice(0, 0)]
        return pa.Table.from_batches(pieces).combine_chunks().to_batches()[0]


def _batch_rows(metadata: pq.FileMetaData, columns: list[str] | None) -> int:
    """As many rows as make a batch of about _BATCH_BYTES, BATCH_ROWS at most."""
    rows = BATCH_ROWS
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        size = 0
        for i in range(group.num_columns):
            column = group.column(i)
            if columns is not None and column.path_in_schema not in columns:
                continue
            size += column.total_uncompressed_size
            # Long values that repeat are stored once: the size says nothing about the rows.
            if column.physical_type == "BYTE_ARRAY" and column.has_dictionary_page:
                rows = min(rows, _DICTIONARY_BATCH_ROWS)
        rows = min(rows, max(1, _BATCH_BYTES * group.num_rows // max(size, 1)))
    return rows


def _leaves(parquet: pq.ParquetFile, fields: Collection[str] | None) -> list[str] | None:
    """`iter_batches` takes a name with dots for a path; a top-level field is asked for by all its leaves."""
    if fields is None:
        return None
    schema = parquet.schema
    paths = [schema.column(i).path for i in range(len(schema))]
    names = parquet.schema_arrow.names
    wanted = []
    for path in paths:
        # The longest name that begins the path: names may hold dots themselves.
        owner = max((name for name in names if path == name or path.startswith(name + ".")), key=len, default="")
        if owner in fields:
            wanted.append(path)
    return wanted


@contextmanager
def _opened(file: InputFile) -> Iterator[pq.ParquetFile]:
    file.check_unchanged()
    try:
        # By its bytes: Arrow takes a name that is no UTF-8 only so.
        with (
            pa.OSFile(os.fsencode(file.readable)) as source,
            pq.ParquetFile(source, pre_buffer=False, buffer_size=_BUFFER, page_checksum_verification=True) as parquet,
        ):
            yield parquet
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise TitheError(f"{file.path}: is no Parquet file, or is truncated or damaged ({reason})") from error
    file.check_unchanged()
