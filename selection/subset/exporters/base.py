"""What a format of subsets is, and a subset in the forms in which formats want it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from tithe.selection.arrays import Rows, Weights
from tithe.selection.corpus.batch import Batch
from tithe.selection.corpus.corpus import Corpus
from tithe.selection.corpus.inputs import Compression
from tithe.selection.corpus.json_lines import json_lines
from tithe.selection.errors import TitheError
from tithe.selection.storage.own_files import OwnPath
from tithe.selection.subset.json_types import JsonType, Unfit
from tithe.selection.subset.shuffled import batches_in_order, lines_in_order
from tithe.selection.subset.weight_shapes.base import CannotHold, WeightShape


@dataclass(frozen=True)
class Subset:
    """Selected records, their weights, and how they hold them."""

    corpus: Corpus
    """What the rows are of."""
    rows: Rows
    """Overall rows, ascending, shape (s,)."""
    weights: Weights
    shape: WeightShape
    column: str
    """Name of the column of weights, for shapes with one."""
    lines: Rows | None = None
    """Which of the s records each line holds; None: each comes once, in input order."""

    def json_lines(self, scratch: OwnPath) -> Iterator[bytes]:
        """The lines as JSON, with their ends, records with their own text; `scratch` is a folder on a disk with room.

        Raises TitheError naming the record that JSON cannot hold.
        """
        found = self._json_of_each()
        return found if self.lines is None else lines_in_order(found, self.lines, scratch)

    def record_batches(self, schema: pa.Schema, scratch: OwnPath) -> Iterator[pa.RecordBatch]:
        """The lines in batches of `schema`; `scratch` is a folder on a disk with room.

        Raises TitheError naming a record, and what Arrow raises where it does not fit the schema.
        """
        found = (self._record_batch(batch, weights, schema) for batch, weights in self._weighted())
        return found if self.lines is None else batches_in_order(found, self.lines, scratch)

    def schema(self, format: str) -> pa.Schema:
        """The schema that holds all lines: that of the inputs, or what JSON records have in common.

        Raises TitheError naming the column that none can hold, and the `format` that the records were to become.
        """
        known = self.corpus.schema
        if known is not None:
            return self.shape.schema(known, self.column, inferred=False)
        try:
            return self.shape.schema(self._inferred(), self.column, inferred=True)
        except Unfit as error:
            place = error.place or self.corpus.files[0].path
            raise TitheError(f"{place}: cannot become {format} without loss ({error}); write .jsonl") from error

    def _weighted(self) -> Iterator[tuple[Batch, Weights]]:
        start = 0
        for batch in self.corpus.take(self.rows, None):
            yield batch, self.weights[start : start + len(batch)]
            start += len(batch)

    def _json_of_each(self) -> Iterator[bytes]:
        for batch, weights in self._weighted():
            lines = zip(json_lines(batch), batch.records(), weights.tolist(), strict=True)
            for i, (line, record, weight) in enumerate(lines):
                assert isinstance(record, dict), "json_lines refuses others"
                with _placed(batch, i):
                    yield self.shape.line(line, record, weight, self.column) + b"\n"

    def _inferred(self) -> pa.Schema:
        seen = JsonType()
        for batch, weights in self._weighted():
            for i, (record, weight) in enumerate(zip(batch.records(), weights.tolist(), strict=True)):
                if not isinstance(record, dict):
                    raise TitheError(f"{batch.place(i)}: {record.reason}")
                with _placed(batch, i):
                    record = self.shape.to_infer(record, weight, self.column)
                try:
                    seen.see(record)
                except Unfit as error:
                    error.place = batch.place(i)
                    raise
        return pa.schema(seen.fields())

    def _record_batch(self, batch: Batch, weights: Weights, schema: pa.Schema) -> pa.RecordBatch:
        columns = []
        for field in schema:
            with _placed(batch):
                values = self.shape.values(batch, field.name, weights, self.column)
            columns.append(values if isinstance(values, pa.Array) else pa.array(values, field.type))
        return pa.RecordBatch.from_arrays(columns, schema=schema)


@contextmanager
def _placed(batch: Batch, i: int | None = None) -> Iterator[None]:
    """An error of a shape becomes one that names the record."""
    try:
        yield
    except CannotHold as error:
        raise TitheError(f"{batch.place(error.at if i is None else i)}: {error}") from error


class Exporter:
    """A format in which a subset is written. A new one is a class in a file of its own and a line in the registry."""

    read_as: ClassVar[str | None] = None
    """The format of inputs by which `tithe verify` reads the subset back; None: it looks at its bytes alone."""

    def check(self, corpus: Corpus) -> None:
        """Raise UsageError for records that it cannot hold, as far as it can be told before the long work."""

    def write(self, subset: Subset, path: OwnPath, compression: Compression | None) -> None:
        """Write the subset to a new file in the run's own folder. Raises TitheError naming what it cannot hold."""
        raise NotImplementedError
