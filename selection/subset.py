"""The subset: the selected records as they came in, with what stands for their weights."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tithe.selection.corpus import Batch, Compression, Corpus, Format, ParquetBatch
from tithe.selection.corpus.footer import DEEPEST
from tithe.selection.errors import TitheError, UsageError, first_line, printable
from tithe.selection.json_lines import json_lines
from tithe.selection.json_types import JsonType, Unfit
from tithe.selection.loss_scale import (
    MESSAGES,
    Unscalable,
    add_feature,
    check_messages,
    check_type,
    scaled_column,
    scaled_line,
    scaled_messages,
    scaled_type,
)
from tithe.selection.own_files import OwnPath
from tithe.selection.shapes import WeightsAs
from tithe.selection.shuffled import batches_in_order, lines_in_order

Rows = npt.NDArray[np.int64]
Weights = npt.NDArray[np.float64]

# Rows of a row group of the output.
ROW_GROUP = 4096

# Bytes of a row group, about, where so many records would be more.
ROW_GROUP_BYTES = 64 << 20

_HUGGING_FACE = b"huggingface"


def check_writable(corpus: Corpus, format: Format, weight_column: str, weights_as: WeightsAs = "column") -> None:
    """Raise UsageError for what the chosen output cannot hold, as far as it can be told before the long work."""
    if weights_as == "column" and weight_column in corpus.field_names():
        raise UsageError(
            f"{corpus.files[0].path}: has a field {weight_column!r} already; choose another --weight-column"
        )
    if weights_as == "loss-scale":
        _check_scalable(corpus)
    kinds = {file.format for file in corpus.files}
    if format == "parquet" and len(kinds) > 1:
        raise UsageError("the inputs are Parquet and JSONL; write .jsonl, or bring the inputs to one format")
    if format == "parquet" and corpus.schema is not None and (reason := _too_deep(corpus.schema)) is not None:
        raise UsageError(f"{corpus.files[0].path}: {reason}; write .jsonl")
    if format == "jsonl" and corpus.schema is not None:
        for field in corpus.schema:
            if (reason := _beyond_json(field.type, field.name)) is not None:
                raise UsageError(f"{corpus.files[0].path}: column {reason}, which JSON cannot hold; write .parquet")


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


def _check_scalable(corpus: Corpus) -> None:
    try:
        if corpus.schema is not None:
            at = corpus.schema.get_field_index(MESSAGES)
            check_type(corpus.schema.field(at).type if at >= 0 else None)
            return
        for batch in corpus.batches(None):
            first = next((record for record in batch.records() if isinstance(record, dict)), None)
            if first is not None:
                check_messages(first.get(MESSAGES))
            break
    except Unscalable as error:
        raise UsageError(f"--weights-as loss-scale: {corpus.files[0].path}: {error}") from error


def write_subset(
    corpus: Corpus,
    rows: Rows,
    weights: Weights,
    *,
    path: OwnPath,
    format: Format,
    compression: Compression | None,
    weight_column: str,
    weights_as: WeightsAs = "column",
    lines: npt.NDArray[np.int64] | None = None,
) -> None:
    """Write the records at `rows` (ascending, shape (s,)) with their `weights` to `path`, batch by batch.

    JSONL keeps every record's own text and puts the weight before its last brace, or into its messages; Parquet keeps
    schema and metadata. From one to the other, values are converted where nothing is lost. Raises TitheError naming the
    column, or the record, where something would be.

    Args:
        corpus: what the rows are of.
        rows: overall rows.
        weights: read where `weights_as` is column or loss-scale.
        path: a new file in the run's own folder.
        format: of the output.
        compression: of JSONL.
        weight_column: name of the column of weights.
        weights_as: where the weights go.
        lines: which of the s records each line holds; None: each comes once, in input order.
    """
    if lines is not None:
        held, lines = np.unique(lines, return_inverse=True)
        rows, weights = rows[held], weights[held]
    weighted = _weighted(corpus, rows, weights)
    if format == "jsonl":
        found = _json(weighted, weights_as, weight_column)
        _write_jsonl(found if lines is None else lines_in_order(found, lines, path.parent), path, compression)
        return
    schema = corpus.schema
    if schema is None:
        schema = _inferred(_weighted(corpus, rows, weights), str(corpus.files[0].path), weights_as, weight_column)
    elif weights_as == "loss-scale":
        at = schema.get_field_index(MESSAGES)
        schema = schema.set(at, schema.field(at).with_type(scaled_type(schema.field(at).type)))
    schema = _described(schema, weights_as, weight_column)
    if not schema.names:
        raise TitheError("records without any field cannot become Parquet; write .jsonl")
    batches = (_record_batch(batch, part, schema, weights_as) for batch, part in weighted)
    try:
        _write_parquet(schema, batches if lines is None else batches_in_order(batches, lines, path.parent), path)
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
        reason = f"the selected records cannot become Parquet ({first_line(error)})"
        raise TitheError(f"{corpus.files[0].path}: {reason}; write .jsonl") from error


def _weighted(corpus: Corpus, rows: Rows, weights: Weights) -> Iterator[tuple[Batch, Weights]]:
    start = 0
    for batch in corpus.take(rows, None):
        yield batch, weights[start : start + len(batch)]
        start += len(batch)


def _json(weighted: Iterable[tuple[Batch, Weights]], weights_as: WeightsAs, weight_column: str) -> Iterator[bytes]:
    """Lines with their ends."""
    key = json.dumps(weight_column, ensure_ascii=False)
    for batch, weights in weighted:
        if weights_as == "column":
            _check_weight(batch, weight_column)
        for i, (line, weight) in enumerate(zip(json_lines(batch), weights.tolist(), strict=True)):
            if weights_as == "column":
                begun = line[:-1].rstrip()
                comma = b"" if begun == b"{" else b", "
                yield begun + comma + f"{key}: {json.dumps(weight)}}}\n".encode()
            elif weights_as == "loss-scale":
                with _scaling(batch, i):
                    line = scaled_line(line, weight)
                yield line + b"\n"
            else:
                yield line + b"\n"


@contextmanager
def _scaling(batch: Batch, i: int) -> Iterator[None]:
    try:
        yield
    except Unscalable as error:
        raise TitheError(f"{batch.place(i)}: {error}") from error


def _write_jsonl(lines: Iterable[bytes], path: OwnPath, compression: Compression | None) -> None:
    with _compressed(path, compression) as out:
        for line in lines:
            out.write(line)


@contextmanager
def _compressed(path: OwnPath, compression: Compression | None) -> Iterator[BinaryIO]:
    with path.create() as file:
        if compression == "gzip":
            # No time and no name in the header: the same subset gives the same bytes.
            with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as out:
                yield cast(BinaryIO, out)
        elif compression is not None:
            with pa.CompressedOutputStream(pa.PythonFile(file, "w"), compression) as out:
                yield out
        else:
            yield file


def _write_parquet(schema: pa.Schema, batches: Iterable[pa.RecordBatch], path: OwnPath) -> None:
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


def _described(schema: pa.Schema, weights_as: WeightsAs, weight_column: str) -> pa.Schema:
    """The schema with the column of weights, and its metadata.

    What is added stands in the features, too, that the library `datasets` keeps there.
    """
    if weights_as == "column":
        schema = schema.append(pa.field(weight_column, pa.float64(), nullable=False))
    elif weights_as != "loss-scale":
        return schema
    metadata = schema.metadata
    if not metadata or _HUGGING_FACE not in metadata:
        return schema
    try:
        described = json.loads(metadata[_HUGGING_FACE])
        features = described["info"]["features"]
        if weights_as == "column":
            features[weight_column] = {"dtype": "float64", "_type": "Value"}
        else:
            add_feature(features)
    except (ValueError, KeyError, TypeError, RecursionError, IndexError):
        if weights_as == "column":
            return schema  # not what `datasets` writes: none of our business
        # Features that lack the scale would hide it; without any, `datasets` reads the schema.
        return schema.with_metadata({key: value for key, value in metadata.items() if key != _HUGGING_FACE})
    return schema.with_metadata({**metadata, _HUGGING_FACE: json.dumps(described).encode()})


def _inferred(
    weighted: Iterable[tuple[Batch, Weights]], place: str, weights_as: WeightsAs, weight_column: str
) -> pa.Schema:
    """A schema that holds all selected JSON records; raises TitheError naming the column that none can hold."""
    seen = JsonType()
    try:
        for batch, weights in weighted:
            if weights_as == "column":
                _check_weight(batch, weight_column)
            for i, record in enumerate(batch.records()):
                if not isinstance(record, dict):
                    raise TitheError(f"{batch.place(i)}: {record.reason}")
                if weights_as == "loss-scale":
                    with _scaling(batch, i):
                        record = {**record, MESSAGES: scaled_messages(record.get(MESSAGES), float(weights[i]))}
                try:
                    seen.see(record)
                except Unfit as error:
                    raise _unconvertible(batch.place(i), error) from error
        schema = pa.schema(seen.fields())
        if (reason := _too_deep(schema)) is not None:
            raise Unfit(reason)
        return schema
    except Unfit as error:
        raise _unconvertible(place, error) from error


def _check_weight(batch: Batch, weight_column: str) -> None:
    for i, record in enumerate(batch.records()):
        if isinstance(record, dict) and weight_column in record:
            raise TitheError(f"{batch.place(i)}: has a field {weight_column!r} already; choose another --weight-column")


def _record_batch(batch: Batch, weights: Weights, schema: pa.Schema, weights_as: WeightsAs) -> pa.RecordBatch:
    """The records of a batch as they are written; `schema` is that of the output."""
    names = schema.names[:-1] if weights_as == "column" else schema.names
    columns = []
    for name in names:
        column = batch.column(name)
        if name == MESSAGES and weights_as == "loss-scale":
            if isinstance(batch, ParquetBatch):
                empty = column.is_null().to_pylist()
                with _scaling(batch, empty.index(True) if True in empty else 0):
                    column = scaled_column(column, weights)
            else:
                column = [scaled_messages(one, weight) for one, weight in zip(column, weights.tolist(), strict=True)]
        columns.append(column if isinstance(batch, ParquetBatch) else pa.array(column, schema.field(name).type))
    if weights_as == "column":
        columns.append(pa.array(weights))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


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
