"""The rows and the clusters file read back and checked: they may be a stranger's, as their manifest may be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from tithe.selection.corpus.inputs import InputFile
from tithe.selection.corpus.parquet import parquet_schema, read_parquet
from tithe.selection.errors import TitheError
from tithe.selection.review.record import Record
from tithe.selection.storage.places import status_of

_ROWS = {
    "file": pa.string(),
    "row_in_file": pa.int64(),
    "row": pa.int64(),
    "cluster": pa.int32(),
    "is_centre": pa.bool_(),
    "distance": pa.float64(),
    "score": pa.float64(),
    "inclusion_probability": pa.float64(),
    "weight": pa.float64(),
}
_OPTIONAL = {"tokens": pa.int64(), "copies": pa.int64()}
_CLUSTERS = {
    "cluster": pa.int32(),
    "centre_row": pa.int64(),
    "records": pa.int64(),
    "selected": pa.int64(),
    "weight": pa.float64(),
    "loss": pa.float64(),
    "proxy": pa.float64(),
    "mean_distance": pa.float64(),
    "x": pa.float64(),
    "y": pa.float64(),
    "excerpt": pa.string(),
}
_MAY_BE_NULL = frozenset({"loss", "excerpt"})


def read_rows(record: Record) -> pa.Table:
    """The rows file, a row for each selected record in the order of the corpus.

    Raises TitheError for what tithe does not write.
    """
    table = _read(record.rows, _ROWS, _OPTIONAL)
    row, cluster, weight = (table[name].to_numpy() for name in ("row", "cluster", "weight"))
    if len(row) == 0 or not (np.diff(row) > 0).all() or row[0] < 0 or row[-1] >= record.manifest["rows"]:
        raise _wrong(record.rows, "row", "are not distinct records of the corpus, in its order")
    if cluster.min() < 0 or cluster.max() >= record.manifest["k"]:
        raise _wrong(record.rows, "cluster", f"is not one of the {record.manifest['k']} clusters everywhere")
    if not (np.isfinite(weight).all() and (weight > 0).all()):
        raise _wrong(record.rows, "weight", "is not a positive number everywhere")
    return table


def read_clusters(record: Record) -> pa.Table:
    """The clusters file, a row for each cluster; raises TitheError for what tithe does not write."""
    table = _read(record.clusters, _CLUSTERS, {})
    if not np.array_equal(table["cluster"].to_numpy(), np.arange(record.manifest["k"])):
        raise _wrong(record.clusters, "cluster", f"does not count the {record.manifest['k']} clusters")
    if (table["records"].to_numpy() < 1).any():
        raise _wrong(record.clusters, "records", "is not a number of records everywhere")
    return table


def _read(path: Path, columns: Mapping[str, pa.DataType], optional: Mapping[str, pa.DataType]) -> pa.Table:
    try:
        status = status_of(path)
    except OSError as error:
        raise TitheError(f"{path}: cannot be read ({error.strerror})") from error
    file = InputFile(path, "parquet", None, status.size, status.modified)
    schema, _ = parquet_schema(file)
    found = dict(zip(schema.names, schema.types, strict=True))
    wanted = {**columns, **{name: type_ for name, type_ in optional.items() if name in found}}
    if found != wanted or len(schema) != len(wanted):
        names = [name for name in {**wanted, **found} if found.get(name) != wanted.get(name)]
        raise _wrong(path, ", ".join(names or schema.names)[:100], "is not there, not known or of another type")
    batches = [batch.table for batch in read_parquet(file, 0, tuple(wanted))]
    table = pa.Table.from_batches(batches, None if batches else pa.schema(wanted))
    for name in table.column_names:
        if name not in _MAY_BE_NULL and table[name].null_count:
            raise _wrong(path, name, "holds a null")
    return table


def _wrong(path: Path, column: str, what: str) -> TitheError:
    return TitheError(f"{path}: {column!r} {what}; it is not what tithe select writes")
