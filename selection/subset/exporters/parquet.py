"""Parquet, in full row groups."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.parquet as pq

from tithe.selection.corpus.corpus import Corpus
from tithe.selection.corpus.footer import DEEPEST
from tithe.selection.corpus.inputs import Compression
from tithe.selection.errors import TitheError, UsageError, first_line
from tithe.selection.storage.own_files import OwnPath
from tithe.selection.subset.exporters.base import Exporter, Subset

# Rows of a row group of the output.
ROW_GROUP = 4096

# Bytes of a row group, about, where so many records would be more.
ROW_GROUP_BYTES = 64 << 20


class ParquetExporter(Exporter):
    """Keeps schema and metadata of Parquet; of other records, finds a schema that holds all of them."""

    read_as = "parquet"

    def check(self, corpus: Corpus) -> None:
        if corpus.has_schema_in_part:
            raise UsageError("the inputs are Parquet and JSONL; write .jsonl, or bring the inputs to one format")
        if corpus.schema is not None and (reason := _too_deep(corpus.schema)) is not None:
            raise UsageError(f"{corpus.files[0].path}: {reason}; write .jsonl")

    def write(self, subset: Subset, path: OwnPath, compression: Compression | None) -> None:
        place = subset.corpus.files[0].path
        schema = subset.schema("Parquet")
        if subset.corpus.schema is None and (reason := _too_deep(schema)) is not None:
            raise TitheError(f"{place}: cannot become Parquet without loss ({reason}); write .jsonl")
        if not schema.names:
            raise TitheError("records without any field cannot become Parquet; write .jsonl")
        try:
            _write(schema, subset.record_batches(schema, path.parent), path)
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
            reason = f"the selected records cannot become Parquet ({first_line(error)})"
            raise TitheError(f"{place}: {reason}; write .jsonl") from error


def _write(schema: pa.Schema, batches: Iterable[pa.RecordBatch], path: OwnPath) -> None:
    with path.create() as out, pq.ParquetWriter(out, schema, compression="zstd") as writer:
        held: list[pa.RecordBatch] = []
        rows = size = 0
        for batch in batches:
            held.append(batch)
            rows += held[-1].num_rows
            size += held[-1].nbytes
            if rows >= ROW_GROUP or size >= ROW_GROUP_BYTES:
                # Full row groups, however the input was cut.
                full = rows if size >= ROW_GROUP_BYTES else rows - rows % ROW_GROUP
                table = pa.Table.from_batches(held)
                writer.write_table(table.slice(0, full), row_group_size=ROW_GROUP)
                held = table.slice(full).to_batches()
                rows, size = rows - full, sum(batch.nbytes for batch in held)
        if held:
            writer.write_table(pa.Table.from_batches(held))


def _too_deep(schema: pa.Schema) -> str | None:
    """The column that our own reader would refuse, were it written to Parquet; None where there is none."""
    for field in schema:
        if 1 + _levels(field.type) > DEEPEST:
            return f"column {field.name!r}: nested more than {DEEPEST} levels deep, of which Parquet has two for a list"
    return None


def _levels(type_: pa.DataType) -> int:
    """Levels of groups that Arrow makes of a type in a Parquet schema."""
    if isinstance(type_, pa.BaseExtensionType):
        return _levels(type_.storage_type)
    if pa.types.is_struct(type_):
        return 1 + max((_levels(field.type) for field in type_), default=0)
    if pa.types.is_map(type_):
        return 2 + max(_levels(type_.key_type), _levels(type_.item_type))
    if pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_):
        return 2 + _levels(type_.value_type)
    return 0
