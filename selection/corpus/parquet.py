"""Parquet: only the columns asked for, in bounded memory."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tithe.selection.corpus.batch import BATCH_ROWS, BadRecord, too_large
from tithe.selection.corpus.footer import Footer, read_dictionary_size, read_footer
from tithe.selection.corpus.inputs import InputFile
from tithe.selection.corpus.reader import Reader, evenly_apart
from tithe.selection.engine.threads import chained, workers
from tithe.selection.errors import TitheError, first_line
from tithe.selection.sizes import readable
from tithe.selection.storage.places import open_for_arrow

Item = TypeVar("Item")
Result = TypeVar("Result")

Numbers = npt.NDArray[np.int64]

# Pages are read in pieces of this size, so that a large row group need not be in memory as a whole.
_BUFFER = 1 << 20

# Bytes of a batch, about; records of many kilobytes come in batches of fewer rows.
_BATCH_BYTES = 16 << 20

# Row groups are read by threads, as many at a time as hold about this, and few enough threads for the memory: each has
# at most so many batches made that wait to be worked on.
_SPAN_BYTES, _MOST_THREADS, _AHEAD = 32 << 20, 8, 4

# Rows of a batch where the footer cannot tell how long the values are, and bytes of it if all of them were one value
# that is as long as all those together that are stored once.
_DICTIONARY_BATCH_ROWS, _WORST_BATCH_BYTES = 1024, 1 << 30


class ParquetBatch:
    """Rows of one file."""

    def __init__(
        self,
        file: InputFile,
        table: pa.RecordBatch,
        rows: Numbers,
        rows_in_file: Numbers,
        too_large: frozenset[int] = frozenset(),
    ) -> None:
        """`too_large` are the positions of records that are larger than they may be."""
        self.table = table
        self.rows = rows
        self._file = file
        self._rows_in_file = rows_in_file
        self._too_large = too_large

    def __len__(self) -> int:
        return len(self.rows)

    def records(self) -> Sequence[dict[str, Any] | BadRecord]:
        if not self.table.num_columns:
            return [{} for _ in self.rows]
        if not self._too_large:
            try:
                return self.table.to_pylist()
            except _NO_PYTHON_VALUE:
                pass
        return [self._record(i) for i in range(len(self))]

    def _record(self, i: int) -> dict[str, Any] | BadRecord:
        if i in self._too_large:
            return too_large(self._file.max_record_size)
        record = {}
        for name, column in zip(self.table.schema.names, self.table.columns, strict=True):
            try:
                record[name] = column[i].as_py()
            except UnicodeDecodeError:
                return BadRecord(f"invalid UTF-8 in column {name!r}")
            except _NO_PYTHON_VALUE as error:
                return BadRecord(f"column {name!r}: {first_line(error)}")
        return record

    def invalid(self) -> Mapping[int, str]:
        """Those that are too large, as long as nobody asks for the values as Python objects."""
        return dict.fromkeys(self._too_large, too_large(self._file.max_record_size).reason)

    def column(self, name: str) -> Any:
        return self.table.column(name)

    def place(self, i: int) -> str:
        """The row in the file, from 0."""
        return f"{self._file.path}, row {self._rows_in_file[i]}"

    def select(self, positions: Numbers) -> ParquetBatch:
        return ParquetBatch(
            self._file,
            taken(self.table, positions),
            self.rows[positions],
            self._rows_in_file[positions],
            frozenset(i for i, at in enumerate(positions.tolist()) if at in self._too_large),
        )


# What to_pylist raises for strings that are no UTF-8, dates beyond Python's, nanoseconds, time zones nobody knows.
_NO_PYTHON_VALUE = (ValueError, OverflowError, pa.ArrowException)


class ParquetReader(Reader):
    """Only the columns asked for are read, and of a few records only their row groups."""

    streams = False
    has_schema = True
    unit = "row groups"

    def schema(self, file: InputFile) -> tuple[pa.Schema, int]:
        return parquet_schema(file)

    def read(self, file: InputFile, first_row: int, fields: Collection[str] | None) -> Iterator[ParquetBatch]:
        return read_parquet(file, first_row, fields)

    def take(
        self, file: InputFile, first_row: int, rows: Numbers, fields: Collection[str] | None
    ) -> Iterator[ParquetBatch]:
        return take_parquet(file, first_row, rows, fields)

    def places(self, file: InputFile, count: int) -> Iterable[InputFile]:
        groups = evenly_apart(len(read_footer(file).group_rows), count)
        return [replace(file, part=(group, group + 1)) for group in groups]

    def ends(self, file: InputFile, part_bytes: int) -> Iterator[int]:
        size = 0
        sizes = read_footer(file).sizes.sum(axis=1).tolist()
        for group, bytes_ in enumerate(sizes):
            size += bytes_
            if size >= part_bytes or group == len(sizes) - 1:
                yield group + 1
                size = 0


@functools.lru_cache(maxsize=1024)
def parquet_schema(file: InputFile) -> tuple[pa.Schema, int]:
    """The schema, metadata included, and the number of rows."""
    with _opened(file) as (parquet, footer):
        _, ends = _groups(file, footer)
        return parquet.schema_arrow, int(ends[-1] - ends[0])


def read_parquet(file: InputFile, first_row: int, fields: Collection[str] | None) -> Iterator[ParquetBatch]:
    """Batches of the rows of a file; the first has the overall row `first_row`. `fields` None reads all columns.

    Of records that are too large, by what is read of them, no values are held.
    """
    with _opened(file) as (parquet, footer):
        groups, ends = _groups(file, footer)
        start = before = int(ends[0])
        leaves = _leaves(parquet, fields)
        batch_rows, paths = _batch_rows(footer, leaves), _paths(parquet, leaves)

        def tables(span: range) -> Iterator[tuple[pa.RecordBatch, frozenset[int]]]:
            with _reader(file, parquet.metadata) as part:
                for group in span:
                    for table in _of_group(file, *part, group, footer, batch_rows, leaves, paths):
                        yield _checked(table, file.max_record_size)

        for table, too_large in _side_by_side(tables, _spans(footer, leaves, groups)):
            rows = np.arange(start, start + table.num_rows)
            start += table.num_rows
            yield ParquetBatch(file, table, rows + (first_row - before), rows, too_large)


def take_parquet(
    file: InputFile, first_row: int, rows_in_file: Numbers, fields: Collection[str] | None
) -> Iterator[ParquetBatch]:
    """Batches of some rows of a file, or of the part of it that is read, ascending; row groups without any of them
    are not read.

    Records that are too large are told by the same fields as when all are read. A record of which other fields were
    read, and that was chosen, comes as a whole, whatever its size.
    """
    with _opened(file) as (parquet, footer):
        groups, starts = _groups(file, footer)
        before = int(starts[0])
        rows_in_file = rows_in_file + before
        leaves = _leaves(parquet, fields)
        batch_rows, paths = _batch_rows(footer, leaves), _paths(parquet, leaves)
        edges = np.searchsorted(rows_in_file, starts)
        wanted_groups = [
            (group, start)
            for group, start, (low, high) in zip(groups, starts.tolist(), pairwise(edges.tolist()), strict=False)
            if low < high
        ]

        def some(group: int, start: int) -> Iterator[ParquetBatch]:
            with _reader(file, parquet.metadata) as part:
                for table in _of_group(file, *part, group, footer, batch_rows, leaves, paths):
                    end = start + table.num_rows
                    low, high = np.searchsorted(rows_in_file, [start, end])
                    if low < high:
                        wanted = rows_in_file[low:high]
                        found, too_large = taken(table, wanted - start), frozenset[int]()
                        if fields is not None:
                            found, too_large = _checked(found, file.max_record_size)
                        yield ParquetBatch(file, found, wanted + (first_row - before), wanted, too_large)
                    start = end

        yield from _side_by_side(lambda group: some(*group), wanted_groups)


def _side_by_side(read: Callable[[Item], Iterator[Result]], parts: Iterable[Item]) -> Iterator[Result]:
    """What is read of each part, in order; threads read the parts that follow meanwhile."""
    return chained((partial(read, part) for part in parts), threads=min(workers(), _MOST_THREADS), ahead=_AHEAD)


def _spans(footer: Footer, leaves: list[int] | None, groups: range) -> Iterator[range]:
    """Row groups that are read together: as many as hold about _SPAN_BYTES, one at least."""
    sizes = footer.sizes[:, slice(None) if leaves is None else leaves].sum(axis=1, dtype=np.float64)
    first, size = groups.start, 0.0
    for group in groups:
        if size and size + sizes[group] > _SPAN_BYTES:
            yield range(first, group)
            first, size = group, 0.0
        size += sizes[group]
    if first < groups.stop:
        yield range(first, groups.stop)


def _groups(file: InputFile, footer: Footer) -> tuple[range, Numbers]:
    """The row groups that are read, and where in the file they start and the last one ends."""
    first, end = file.part or (0, len(footer.group_rows))
    return range(first, end), np.cumsum([0, *footer.group_rows])[first : end + 1]


def _of_group(
    file: InputFile,
    source: pa.NativeFile,
    parquet: pq.ParquetFile,
    group: int,
    footer: Footer,
    batch_rows: int,
    leaves: list[int] | None,
    paths: list[str] | None,
) -> Iterator[pa.RecordBatch]:
    """The rows of a row group; raises OSError, as Arrow does, where there are more or fewer than the footer says.

    Groups are read one by one: in a damaged one a column may end early, and Arrow would fill up from the next group.
    """
    said, read = int(footer.group_rows[group]), 0
    for start in footer.strings[group, slice(None) if leaves is None else leaves].tolist():
        size, count = read_dictionary_size(source, start) if start else (0, 0)
        if leaves is not None and size > file.max_record_size * max(count, 1):
            # As many rows may hold it as there are: to find them one by one would take forever.
            what = f"its row group {group} holds values of {readable(size / max(count, 1))} that rows share"
            raise TitheError(f"{file.path}: {what}; --max-record-size allows more")
        if size:
            batch_rows = min(batch_rows, _rows_that_share(size, count))
    for table in parquet.iter_batches(batch_rows, row_groups=[group], columns=paths):
        read += table.num_rows
        if read > said:
            break
        yield table
    if read != said:
        found = "more" if read > said else read
        raise OSError(f"the footer says there are {said} rows in row group {group}, but there are {found}")


def _rows_that_share(size: int, count: int) -> int:
    """As many rows as make a batch of values that are stored once: `count` of them, in `size` bytes together."""
    return max(1, min(_BATCH_BYTES * count // size, _WORST_BATCH_BYTES // size))


def _checked(table: pa.RecordBatch, limit: int) -> tuple[pa.RecordBatch, frozenset[int]]:
    """A table, and the positions of its rows of more than `limit` bytes, which become null."""
    too_large = _too_large(table, limit)
    if too_large:
        kept = [None if i in too_large else i for i in range(table.num_rows)]
        with suppress(pa.ArrowNotImplementedError):
            table = table.take(pa.array(kept, pa.int64()))
    return table, too_large


def _too_large(table: pa.RecordBatch, limit: int) -> frozenset[int]:
    # Of values that all rows share only the numbers are a row's own.
    own = [column.indices if isinstance(column, pa.DictionaryArray) else column for column in table.columns]
    if sum(column.nbytes for column in own) <= limit:
        return frozenset()
    return frozenset(i for i in range(table.num_rows) if sum(column.slice(i, 1).nbytes for column in own) > limit)


def taken(table: pa.RecordBatch, positions: Numbers) -> pa.RecordBatch:
    """The rows at some positions, in their order."""
    try:
        return table.take(pa.array(positions))
    except pa.ArrowNotImplementedError:  # Arrow cannot take from every type, string_view for one
        pieces = [table.slice(i, 1) for i in positions.tolist()] or [table.slice(0, 0)]
        return pa.Table.from_batches(pieces).combine_chunks().to_batches()[0]


def _batch_rows(footer: Footer, leaves: list[int] | None) -> int:
    """As many rows as make a batch of about _BATCH_BYTES, BATCH_ROWS at most."""
    chosen = slice(None) if leaves is None else leaves
    sizes = footer.sizes[:, chosen].sum(axis=1, dtype=np.float64)
    # Long values that repeat are stored once: the size says nothing about the rows.
    shared = footer.shared[:, chosen].any()
    fitting = (_BATCH_BYTES * footer.group_rows / np.maximum(sizes, 1)).min(initial=BATCH_ROWS)
    return min(max(1, int(fitting)), _DICTIONARY_BATCH_ROWS if shared else BATCH_ROWS)


def _leaves(parquet: pq.ParquetFile, fields: Collection[str] | None) -> list[int] | None:
    """The numbers of the leaf columns below some top-level fields; None for all."""
    if fields is None:
        return None
    names = parquet.schema_arrow.names
    wanted = []
    for i in range(len(parquet.schema)):
        path = parquet.schema.column(i).path
        # The longest name that begins the path: names may hold dots themselves.
        owner = max((name for name in names if path == name or path.startswith(name + ".")), key=len, default="")
        if owner in fields:
            wanted.append(i)
    return wanted


def _paths(parquet: pq.ParquetFile, leaves: list[int] | None) -> list[str] | None:
    """What `iter_batches` calls leaf columns: it takes a name with dots for a path."""
    return None if leaves is None else [parquet.schema.column(i).path for i in leaves]


@contextmanager
def _opened(file: InputFile) -> Iterator[tuple[pq.ParquetFile, Footer]]:
    file.check_unchanged()
    footer = read_footer(file)
    try:
        with _reader(file, None) as (_, parquet):
            yield parquet, footer
    except MemoryError as error:
        raise TitheError(
            f"{file.path}: is damaged, or needs more memory than there is ({first_line(error)})"
        ) from error
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise file.unreadable(error, "is no Parquet file, or is truncated or damaged") from error
    file.check_unchanged()


@contextmanager
def _reader(file: InputFile, metadata: pq.FileMetaData | None) -> Iterator[tuple[pa.NativeFile, pq.ParquetFile]]:
    """A file and a reader of its own: one reads for one thread only. `metadata` is that of another reader of the
    file."""
    with (
        open_for_arrow(file.readable) as source,
        pq.ParquetFile(
            source, metadata=metadata, pre_buffer=False, buffer_size=_BUFFER, page_checksum_verification=True
        ) as parquet,
    ):
        yield source, parquet
