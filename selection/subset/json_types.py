"""Which Arrow types hold a set of JSON records without loss."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa

from tithe.selection.corpus.footer import DEEPEST

# Integers up to here are exact as floats.
_EXACT = 2**53

_SCALARS: dict[str, pa.DataType] = {
    "null": pa.null(),
    "true or false": pa.bool_(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "string": pa.string(),
}


class Unfit(Exception):
    """A value that no column can hold beside the others; the message names the column, dotted, and says why."""

    place: str | None = None
    """Of the record, where it is one that shows it."""


class JsonType:
    """The type of the values seen so far in one place of the records. A missing key is null."""

    def __init__(self, path: str = "", depth: int = 0) -> None:
        self._path = path
        self._depth = depth
        self._kind = "null"
        self._large = False  # an integer that is not exact as a float
        self._item: JsonType | None = None
        self._fields: dict[str, JsonType] = {}

    def see(self, value: Any) -> None:
        """Take in one more value; raises Unfit where it does not go with those before."""
        if value is None:
            return
        kind = self._kind_of(value)
        if self._kind == "null":
            self._kind = kind
        elif {self._kind, kind} == {"integer", "number"}:
            self._kind = "number"  # JSON knows one kind of number: 1 may become 1.0 beside 2.5
        elif self._kind != kind:
            raise self._unfit(f"{kind} beside {self._kind}")
        if self._kind == "number" and self._large:
            raise self._unfit("an integer too large for a float beside a float")
        if isinstance(value, dict):
            for key, inner in value.items():
                if key not in self._fields:
                    self._fields[key] = self._below(f"{self._path}.{key}" if self._depth else key)
                self._fields[key].see(inner)
        elif isinstance(value, list):
            self._item = self._item or self._below(self._path)
            for inner in value:
                self._item.see(inner)

    def arrow(self) -> pa.DataType:
        """The type that holds all values seen; raises Unfit where Parquet has none."""
        if self._kind == "list":
            return pa.list_(self._item.arrow() if self._item else pa.null())
        if self._kind == "object":
            if not self._fields:
                raise self._unfit("nothing but empty objects, for which Parquet has no type")
            return pa.struct(self.fields())
        return _SCALARS[self._kind]

    def fields(self) -> list[pa.Field]:
        """The fields of the objects seen, in the order in which they came up."""
        return [pa.field(name, inner.arrow()) for name, inner in self._fields.items()]

    def _kind_of(self, value: Any) -> str:
        if isinstance(value, bool):
            return "true or false"
        if isinstance(value, int):
            if not -(2**63) <= value < 2**63:
                raise self._unfit("an integer beyond 64 bits")
            self._large = self._large or abs(value) > _EXACT
            return "integer"
        if isinstance(value, float):
            if not math.isfinite(value):
                raise self._unfit("a number too large for a float")
            return "number"
        if isinstance(value, str):
            if not _encodable(value):
                raise self._unfit("half a surrogate pair, which is no text")
            return "string"
        return "list" if isinstance(value, list) else "object"

    def _below(self, path: str) -> JsonType:
        if not _encodable(path):
            raise self._unfit("a key with half a surrogate pair, which is no text")
        if self._depth == DEEPEST:
            raise self._unfit("nested too deeply")
        return JsonType(path, self._depth + 1)

    def _unfit(self, reason: str) -> Unfit:
        return Unfit(f"column {self._path!r}: {reason}" if self._path else reason)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
