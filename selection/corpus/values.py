"""What a field holds, as text: to compare it with a value of the command line, or to group records by it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tithe.selection.corpus.batch import Batch

Codes = npt.NDArray[np.int32]

MISSING, WITHOUT_TEXT = -1, -2
"""Codes of records that lack the field, or hold null; and of those that hold a list, an object or bytes there."""


def field_texts(batch: Batch, name: str) -> tuple[Codes, Sequence[str]]:
    """The texts that a top-level field holds in a batch, and the number of its text for each record, shape (len,).

    A string is its own text; numbers and booleans are written as in JSON, dates and times as Arrow writes them.
    """
    column = batch.column(name)
    return _of_objects(column) if isinstance(column, list) else _of_array(column)


def _of_objects(column: list[Any]) -> tuple[Codes, list[str]]:
    numbers: dict[str, int] = {}

    def code(value: Any) -> int:
        if value is None:
            return MISSING
        if isinstance(value, list | dict):
            return WITHOUT_TEXT
        return numbers.setdefault(value if isinstance(value, str) else json.dumps(value), len(numbers))

    return np.fromiter(map(code, column), np.int32, len(column)), list(numbers)


def _of_array(column: pa.Array) -> tuple[Codes, list[str]]:
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    try:
        encoded = column if isinstance(column, pa.DictionaryArray) else column.dictionary_encode()
    except pa.ArrowNotImplementedError:  # lists, objects
        return np.where(column.is_null().to_numpy(zero_copy_only=False), MISSING, WITHOUT_TEXT).astype(np.int32), []
    numbers: dict[str, int] = {}
    of_values = [
        code if text is None else numbers.setdefault(text, len(numbers))
        for text, code in zip(*_texts(encoded.dictionary), strict=True)
    ]
    indices = encoded.indices.fill_null(len(of_values)).to_numpy(zero_copy_only=False)
    return np.array([*of_values, MISSING], np.int32)[indices], list(numbers)


def _texts(values: pa.Array) -> tuple[list[str | None], list[int]]:
    """The texts of distinct values, and which code those have that have none."""
    missing = [MISSING if value else WITHOUT_TEXT for value in values.is_null().to_pylist()]
    kind = values.type
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return [None] * len(values), missing
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return [None if value is None else json.dumps(value) for value in values.to_pylist()], missing
    # By its bytes: Arrow does not ask whether a string is UTF-8.
    written = values.cast(pa.large_string()).cast(pa.large_binary()).to_pylist()
    return [None if value is None else value.decode("utf-8", "backslashreplace") for value in written], missing
