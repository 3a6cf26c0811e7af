"""`column:FIELD`: vectors that lie in the corpus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tithe.embedders.base import Reads, Request, Vectors, in_float32
from tithe.embedders.errors import EncoderError, UnusableRecords


class ColumnEncoder:
    """Reads lists, or fixed-size lists, of numbers. All have the length of the first."""

    rows: int | None = None

    reads: ClassVar[Reads] = None

    def __init__(self, field: str) -> None:
        self.field = field
        self.fields = (field,)
        self._dimensions: int | None = None

    @classmethod
    def make(cls, request: Request) -> ColumnEncoder:
        request.refuse("column", argument=False)
        if not request.argument:
            raise EncoderError("--encoder column: needs the name of a field, as in column:embedding")
        return cls(request.argument)

    def identity(self) -> Mapping[str, Any]:
        return {"name": "column", "field": self.field}

    def lookup(self, rows: npt.NDArray[np.int64], values: Mapping[str, Any]) -> Vectors:
        """Raises UnusableRecords for what is no list of that many numbers."""
        lists = values[self.field]
        if isinstance(lists, pa.Array | pa.ChunkedArray):
            return self._from_arrow(lists)
        return self._from_python(lists)

    def _from_arrow(self, values: pa.Array) -> Vectors:
        if not _is_vector_type(values.type):
            raise UnusableRecords(
                {i: f"{self.field!r} is of type {values.type}, not a list of numbers" for i in range(len(values))}
            )
        flat = values.flatten()
        lengths = pc.fill_null(pc.call_function("list_value_length", [values]), -1).to_numpy(zero_copy_only=False)
        self._check_lengths(lengths)
        if flat.null_count:
            owners = pc.call_function("list_parent_indices", [values]).to_numpy()
            nulls = np.unique(owners[flat.is_null().to_numpy(zero_copy_only=False)])
            raise UnusableRecords({int(i): f"{self.field!r} holds a null" for i in nulls})
        numbers = flat.to_numpy(zero_copy_only=False)
        return in_float32(numbers).reshape(len(values), -1)

    def _from_python(self, values: list[Any]) -> Vectors:
        lengths = np.array([len(value) if isinstance(value, list) else -1 for value in values])
        self._check_lengths(lengths)
        wrong = {
            i: f"{self.field!r} holds something else than numbers"
            for i, value in enumerate(values)
            if not all(type(number) in (int, float) for number in value)
        }
        if wrong:
            raise UnusableRecords(wrong)
        return in_float32(np.array(values, np.float64))

    def _check_lengths(self, lengths: npt.NDArray[np.int64]) -> None:
        present = lengths[lengths > 0]
        if self._dimensions is None and len(present):
            self._dimensions = int(present[0])
        wrong = np.flatnonzero(lengths != self._dimensions)
        if len(wrong):
            raise UnusableRecords({int(i): self._reason(int(lengths[i])) for i in wrong})

    def _reason(self, length: int) -> str:
        if length < 0:
            return f"{self.field!r} is missing, null or not a list"
        if length == 0:
            return f"{self.field!r} is empty"
        return f"{self.field!r} holds {length} numbers, the first record's {self._dimensions}"


def _is_vector_type(type_: pa.DataType) -> bool:
    is_list = pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_)
    return is_list and (pa.types.is_floating(type_.value_type) or pa.types.is_integer(type_.value_type))
