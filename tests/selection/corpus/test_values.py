"""The texts of fields: the same out of Parquet and JSONL."""

from __future__ import annotations

import datetime
import decimal

import numpy as np
import pyarrow as pa
import pytest

from tithe.selection.corpus.inputs import InputFile
from tithe.selection.corpus.parquet import ParquetBatch
from tithe.selection.corpus.values import MISSING, WITHOUT_TEXT, field_texts


class Objects:
    """A batch of JSONL, as far as it matters."""

    def __init__(self, values: list) -> None:
        self.values = values

    def column(self, name: str) -> list:
        return self.values


def texts_of(values: list, kind: pa.DataType | None = None) -> list:
    if kind is None:
        codes, texts = field_texts(Objects(values), "x")  # pyright: ignore[reportArgumentType]
    else:
        table = pa.record_batch({"x": pa.array(values, kind)})
        file: InputFile = None  # pyright: ignore[reportAssignmentType]
        codes, texts = field_texts(ParquetBatch(file, table, np.arange(len(values)), np.arange(len(values))), "x")
    assert codes.dtype == np.int32 and len(codes) == len(values)
    return [texts[code] if code >= 0 else {MISSING: None, WITHOUT_TEXT: ...}[int(code)] for code in codes.tolist()]


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (["a", None, "b", "a"], pa.string(), ["a", None, "b", "a"]),
        (["a", None, "b"], pa.large_string(), ["a", None, "b"]),
        (["a", None, "b"], pa.string_view(), ["a", None, "b"]),
        (["a", None, "b"], pa.dictionary(pa.int8(), pa.string()), ["a", None, "b"]),
        ([1, None, -2], pa.int64(), ["1", None, "-2"]),
        ([1.0, None, 0.25, 1e30], pa.float64(), ["1.0", None, "0.25", "1e+30"]),
        ([True, None, False], pa.bool_(), ["true", None, "false"]),
        ([None, None], pa.null(), [None, None]),
        ([[1], None], pa.list_(pa.int8()), [..., None]),
        ([{"a": 1}, None], pa.struct({"a": pa.int8()}), [..., None]),
        ([b"a", None], pa.binary(), [..., None]),
        ([datetime.date(2024, 2, 3)], pa.date32(), ["2024-02-03"]),
        ([decimal.Decimal("1.50")], pa.decimal128(5, 2), ["1.50"]),
        ([], pa.string(), []),
    ],
)
def test_texts_out_of_parquet(values: list, kind: pa.DataType, expected: list) -> None:
    assert texts_of(values, kind) == expected


def test_texts_out_of_json() -> None:
    values = ["a", None, 1, "1", 1.0, 0.25, True, [1], {"a": 1}, "a"]
    assert texts_of(values) == ["a", None, "1", "1", "1.0", "0.25", "true", ..., ..., "a"]


def test_strings_that_are_no_utf_8_have_a_text() -> None:
    broken = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"a\xff")])
    table = pa.record_batch({"x": broken})
    file: InputFile = None  # pyright: ignore[reportAssignmentType]
    assert field_texts(ParquetBatch(file, table, np.arange(1), np.arange(1)), "x")[1] == ["a\\xff"]
