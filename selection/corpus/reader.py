"""What a format of inputs is, and batches of records that come as Python objects."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tithe.selection.corpus.batch import BATCH_ROWS, BadRecord, Batch
from tithe.selection.corpus.inputs import InputFile

Numbers = npt.NDArray[np.int64]


class Reader:
    """A format of inputs. A new one is a class in a file of its own, with `read`, and a line in the registry.

    Where records are read one after the other, RecordReader has all but how they are read.
    """

    streams: ClassVar[bool] = True
    """Whether files are read from their beginning to their end: then they may be compressed, or standard input."""

    unit: ClassVar[str] = "bytes"
    """What the numbers of `InputFile.part` count, for messages."""
    has_schema: ClassVar[bool] = False
    """Whether a file says what its records hold, and how many there are: then there is `schema`."""

    def schema(self, file: InputFile) -> tuple[pa.Schema, int]:
        """The Arrow schema of a file, metadata included, and its number of rows."""
        raise NotImplementedError

    def read(self, file: InputFile, first_row: int, fields: Collection[str] | None) -> Iterator[Batch]:
        """Batches of the records of a file, or of the part of it that is read; the first has the row `first_row`.

        `fields` are the top-level fields that will be looked at, None all of them. Raises TitheError for a file that
        is damaged, gone, or not what it was; a record that cannot be read is a BadRecord.
        """
        raise NotImplementedError

    def take(self, file: InputFile, first_row: int, rows: Numbers, fields: Collection[str] | None) -> Iterator[Batch]:
        """Batches of the records at some rows of a file, counted from its first, ascending. The default reads on from
        the beginning to the last of them."""
        wanted = rows + first_row
        for batch in self.read(file, first_row, fields):
            low, high = np.searchsorted(wanted, [batch.rows[0], batch.rows[-1] + 1])
            if low < high:
                yield batch.select(wanted[low:high] - batch.rows[0])
            if high == len(wanted):
                break

    def places(self, file: InputFile, count: int) -> Iterable[InputFile]:
        """The file in about `count` parts that each begin at another place; the default is one that begins where the
        file does."""
        return [file]

    def ends(self, file: InputFile, part_bytes: int) -> Iterator[int]:
        """Where parts of about `part_bytes` end that can be read by themselves, as `InputFile.part` counts; nothing for
        a file that cannot be cut, as by default."""
        yield from ()


class RecordReader(Reader):
    """A format whose records are read one after the other, as Python objects: `records` is all that it takes."""

    def records(self, file: InputFile) -> Iterator[tuple[int, dict[str, Any] | BadRecord]]:
        """The records of a file with the number of the line where each begins; `compression.chunks` has its bytes."""
        raise NotImplementedError

    def read(self, file: InputFile, first_row: int, fields: Collection[str] | None) -> Iterator[Batch]:
        records = self.records(file)
        while some := list(islice(records, BATCH_ROWS)):
            rows = np.arange(first_row, first_row + len(some))
            yield ObjectBatch(file, [record for _, record in some], [line for line, _ in some], rows)
            first_row += len(some)


class ObjectBatch:
    """Records of one file as Python objects; a Batch."""

    def __init__(
        self, file: InputFile, records: Sequence[dict[str, Any] | BadRecord], lines: Sequence[int], rows: Numbers
    ) -> None:
        self.rows = rows
        self._file = file
        self._records = records
        self._lines = lines

    def __len__(self) -> int:
        return len(self._records)

    def records(self) -> Sequence[dict[str, Any] | BadRecord]:
        return self._records

    def invalid(self) -> Mapping[int, str]:
        return {i: record.reason for i, record in enumerate(self._records) if isinstance(record, BadRecord)}

    def column(self, name: str) -> list[Any]:
        return [record.get(name) if isinstance(record, dict) else None for record in self._records]

    def place(self, i: int) -> str:
        return f"{self._file.path}, line {self._lines[i]}"

    def select(self, positions: Numbers) -> ObjectBatch:
        chosen = positions.tolist()
        return ObjectBatch(
            self._file, [self._records[i] for i in chosen], [self._lines[i] for i in chosen], self.rows[positions]
        )


def evenly_apart(count: int, wanted: int) -> list[int]:
    """The first, the last and others of `count`, as many as are `wanted`."""
    return sorted({round(at) for at in np.linspace(0, count - 1, min(count, wanted))})
