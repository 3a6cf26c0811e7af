"""Features and a target, as numeric fields of the corpus, brought to mean 0 and standard deviation 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tithe.embedders.base import Vectors
from tithe.embedders.errors import EncoderError, UnusableRecords

Floats = npt.NDArray[np.float64]

# Of the numbers that a field may hold, so that a sum of squares is one.
_LARGEST = 1e100


class NumericEncoder:
    """Vectors of the standardised features and, last, the standardised target. A constant field becomes 0."""

    rows: int | None = None

    def __init__(self, features: Sequence[str], target: str) -> None:
        self.fields = (*features, target)
        for field in self.fields:
            if self.fields.count(field) > 1:
                raise EncoderError(f"--features and --target name {field!r} twice")
        self._count = 0
        self._mean = np.zeros(len(self.fields))
        self._squares = np.zeros(len(self.fields))  # sum of squared differences from the mean

    def identity(self) -> Mapping[str, Any]:
        return {"name": "features", "version": 1, "features": list(self.fields[:-1]), "target": self.fields[-1]}

    def measure(self, values: Mapping[str, Any]) -> None:
        """Mean and variance by parts (Chan, Golub & LeVeque 1983): no sum of large squares."""
        part = self._numbers(values)
        count, mean = len(part), part.mean(axis=0)
        total = self._count + count
        difference = mean - self._mean
        self._squares += np.square(part - mean).sum(axis=0) + difference**2 * (self._count * count / total)
        self._mean += difference * (count / total)
        self._count = total

    def lookup(self, rows: npt.NDArray[np.int64], values: Mapping[str, Any]) -> Vectors:
        """Raises UnusableRecords for what is no finite number."""
        scale = np.sqrt(self._squares / max(self._count, 1))
        # What differs by rounding alone is constant.
        scale[scale <= 1e-12 * np.abs(self._mean)] = np.inf
        return ((self._numbers(values) - self._mean) / scale).astype(np.float32)

    def _numbers(self, values: Mapping[str, Any]) -> Floats:
        """The fields as columns, shape (records, d + 1)."""
        return np.column_stack([_column(field, values[field]) for field in self.fields])


def _column(field: str, values: Any) -> Floats:
    if isinstance(values, pa.Array | pa.ChunkedArray):
        numbers = _from_arrow(field, values)
    else:
        usable = [type(value) in (int, float) for value in values]
        _refuse({i: f"{field!r} is {values[i]!r}, not a number" for i, good in enumerate(usable) if not good})
        numbers = np.array([_as_float(value) for value in values], np.float64)
    finite = np.isfinite(numbers)
    _refuse({int(i): f"{field!r} is {numbers[i]}, not a finite number" for i in np.flatnonzero(~finite)})
    large = np.abs(numbers) > _LARGEST
    _refuse({int(i): f"{field!r} is {numbers[i]:g}, whose square overflows" for i in np.flatnonzero(large)})
    return numbers


def _from_arrow(field: str, values: Any) -> Floats:
    kind = values.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        _refuse({i: f"{field!r} is of type {kind}, not a number" for i in range(len(values))})
    nulls = np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))
    _refuse({int(i): f"{field!r} is null" for i in nulls})
    return pc.cast(values, pa.float64(), safe=False).to_numpy(zero_copy_only=False)


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer beyond what floats reach
        return float("inf")


def _refuse(reasons: dict[int, str]) -> None:
    if reasons:
        raise UnusableRecords(reasons)
