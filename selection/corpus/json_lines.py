"""Records as lines of JSON: their own text where they came as JSON, else converted value for value."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from tithe.selection.corpus.batch import BadRecord, Batch
from tithe.selection.corpus.jsonl import JsonlBatch
from tithe.selection.errors import TitheError


def json_lines(batch: Batch) -> Iterator[bytes]:
    """A JSON object for each record, without a line end.

    Raises TitheError naming the record, and its column, for what JSON cannot hold.
    """
    for i, record in enumerate(batch.records()):
        if isinstance(record, BadRecord):
            raise TitheError(f"{batch.place(i)}: {record.reason}, which JSON cannot hold")
        if isinstance(batch, JsonlBatch):
            yield batch.lines[i].strip()
            continue
        try:
            yield json.dumps(record, ensure_ascii=False, allow_nan=False).encode()
        except (ValueError, TypeError) as error:
            column = next((name for name, value in record.items() if not _holds(value)), "?")
            raise TitheError(f"{batch.place(i)}: column {column!r} holds {_NOT_JSON}; write .parquet") from error


_NOT_JSON = "NaN or an infinity, or a type, that JSON cannot hold"


def _holds(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_holds, value.values()))
    if isinstance(value, list):
        return all(map(_holds, value))
    return value is None or isinstance(value, str | int)
