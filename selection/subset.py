"""The subset: the selected records as they came in, with one more field, the weight."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tithe.selection.corpus import Batch, Compression, Corpus, Format, ParquetBatch
from tithe.selection.errors import TitheError, UsageError, first_line, printable
from tithe.selection.json_lines import json_lines
from tithe.selection.json_types import JsonType, Unfit

Rows = npt.NDArray[np.int64]
Weights = npt.NDArray[np.float64]

# Rows of a row group of the output.
ROW_GROUP = 4096

# Bytes of a row group, about, where so many records would be more.
ROW_GROUP_BYTES = 64 << 20

_HUGGING_FACE = b"huggingface"


def check_writable(corpus: Corpus, format: Format, weight_column: str) -> None:
    """Raise UsageError for what the chosen output cannot hold, as far as it can be told before the long work."""
    if weight_column in corpus.field_names():
        raise UsageError(
            f"{corpus.files[0].path}: has a field {weight_column!r} already; choose another --weight-column"
        )
    kinds = {file.format for file in corpus.files}
    if format == "parquet" and len(kinds) > 1:
        raise UsageError("the inputs are Parquet and JSONL; write .jsonl, or bring the inputs to one format")
    if format == "jsonl" and corpus.schema is not None:
        for field in corpus.schema:
            if (reason := _beyond_json(field.type, field.name)) is not None:
                raise UsageError(f"{corpus.files[0].path}: column {reason}, which JSON cannot hold; write .parquet")


def write_subset(
    corpus: Corpus,
    rows: Rows,
    weights: Weights,
    *,
    path: Path,
    format: Format,
    compression: Compression | None,
    weight_column: str,
) -> None:
    """Write the records at `rows` (ascending, shape (s,)) with their `weights` to `path`, batch by batch.

    JSONL keeps every record's own text and puts the weight before its last brace; Parquet keeps schema and metadata.
    From one to the other, values are converted where nothing is lost. Raises TitheError naming the column, or the
    record, where something would be.
    """
    if format == "jsonl":
        _write_jsonl(_weighted(corpus, rows, weights), path, compression, weight_column)
    else:
        schema = corpus.schema if corpus.schema is not None else _inferred(corpus, rows, weight_column)
        columns = ((_columns(batch, schema), part) for batch, part in _weighted(corpus, rows, weights))
        try:
            _write_parquet(schema, columns, path, weight_column)
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
            reason = f"the selected records cannot become Parquet ({first_line(error)})"
            raise TitheError(f"{corpus.files[0].path}: {reason}; write .jsonl") from error


def _weighted(corpus: Corpus, rows: Rows, weights: Weights) -> Iterator[tuple[Batch, Weights]]:
    start = 0
    for batch in corpus.take(rows, None):
        yield batch, weights[start : start + len(batch)]
        start += len(batch)


def _write_jsonl(
    weighted: Iterator[tuple[Batch, Weights]], path: Path, compression: Compression | None, weight_column: str
) -> None:
    key = json.dumps(weight_column, ensure_ascii=False)
    with _compressed(path, compression) as out:
        for batch, weights in weighted:
            _check_weight(batch, weight_column)
            for line, weight in zip(json_lines(batch), weights.tolist(), strict=True):
                begun = line[:-1].rstrip()
                comma = b"" if begun == b"{" else b", "
                out.write(begun + comma + f"{key}: {json.dumps(weight)}}}\n".encode())


@contextmanager
def _compressed(path: Path, compression: Compression | None) -> Iterator[BinaryIO]:
    with path.open("wb") as file:
        if compression == "gzip":
            # No time and no name in the header: the same subset gives the same bytes.
            with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as out:
                yield cast(BinaryIO, out)
        elif compression is not None:
            with pa.CompressedOutputStream(pa.PythonFile(file, "w"), compression) as out:
                yield out
        else:
            yield file


def _write_parquet(
    schema: pa.Schema, weighted: Iterable[tuple[list[pa.Array], Weights]], path: Path, weight_column: str
) -> None:
    weight = pa.field(weight_column, pa.float64(), nullable=False)
    schema = schema.append(weight).with_metadata(_with_feature(schema.metadata, weight_column))
    with path.open("wb") as out, pq.ParquetWriter(out, schema, compression="zstd") as writer:
        held: list[pa.RecordBatch] = []
        rows = size = 0
        for columns, weights in weighted:
            held.append(pa.RecordBatch.from_arrays([*columns, pa.array(weights)], schema=schema))
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


def _with_feature(metadata: dict[bytes, bytes] | None, weight_column: str) -> dict[bytes, bytes] | None:
    """The schema's metadata, the weight added to the features that the library `datasets` keeps there."""
    if not metadata or _HUGGING_FACE not in metadata:
        return metadata
    try:
        described = json.loads(metadata[_HUGGING_FACE])
        described["info"]["features"][weight_column] = {"dtype": "float64", "_type": "Value"}
    except (ValueError, KeyError, TypeError, RecursionError):
        return metadata  # not what `datasets` writes: none of our business
    return {**metadata, _HUGGING_FACE: json.dumps(described).encode()}


def _inferred(corpus: Corpus, rows: Rows, weight_column: str) -> pa.Schema:
    """A schema that holds all selected JSON records; raises TitheError naming the column that none can hold."""
    seen = JsonType()
    try:
        for batch in corpus.take(rows, None):
            _check_weight(batch, weight_column)
            for i, record in enumerate(batch.records()):
                if not isinstance(record, dict):
                    raise TitheError(f"{batch.place(i)}: {record.reason}")
                try:
                    seen.see(record)
                except Unfit as error:
                    raise _unconvertible(batch.place(i), error) from error
        return pa.schema(seen.fields())
    except Unfit as error:
        raise _unconvertible(str(corpus.files[0].path), error) from error


def _check_weight(batch: Batch, weight_column: str) -> None:
    for i, record in enumerate(batch.records()):
        if isinstance(record, dict) and weight_column in record:
            raise TitheError(f"{batch.place(i)}: has a field {weight_column!r} already; choose another --weight-column")


def _columns(batch: Batch, schema: pa.Schema) -> list[pa.Array]:
    if isinstance(batch, ParquetBatch):
        return batch.table.columns
    return [pa.array(batch.column(field.name), field.type) for field in schema]


def _unconvertible(place: str, reason: Unfit) -> TitheError:
    return TitheError(f"{place}: cannot become Parquet without loss ({reason}); write .jsonl")


_PLAIN: tuple[Callable[[pa.DataType], bool], ...] = (
    pa.types.is_null,
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
)


def _beyond_json(type_: pa.DataType, name: str) -> str | None:
    """The part of a column, and its type, that JSON has nothing for; None where there is no such part."""
    if any(holds(type_) for holds in _PLAIN):
        return None
    if pa.types.is_dictionary(type_):
        return _beyond_json(type_.value_type, name)
    if pa.types.is_struct(type_):
        return next((r for field in type_ if (r := _beyond_json(field.type, f"{name}.{field.name}"))), None)
    if pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_):
        return _beyond_json(type_.value_type, name)
    return f"{name!r} is of type {printable(str(type_))}"
