"""JSON documents against a JSON Schema: as much of it as the schema of manifests uses, and stricter with numbers.

An integer is written as one and is at most 2^53, as far as JSON parsers agree, unless its format is `bigint`; a number
is finite in double precision. A schema with a keyword that is not known here is refused with a KeyError: none is passed
over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_LARGEST = 2**53

_ANNOTATIONS = frozenset({"$schema", "title", "description", "format"})

Schema = Mapping[str, Any]
Check = Callable[[Any, Any, Schema, str], Iterator[str]]


def first_fault(document: Any, schema: Schema) -> str | None:
    """Where a document first is not what the schema says, and why; None where it fits."""
    return next(_faults(document, schema, ""), None)


def _faults(value: Any, schema: Schema, at: str) -> Iterator[str]:
    for keyword, wanted in schema.items():
        if keyword not in _ANNOTATIONS:
            yield from _CHECKS[keyword](value, wanted, schema, at)


def _said(at: str, what: str) -> str:
    return f"{at.lstrip('.') or 'the document'}: {what}"


def _has_type(value: Any, name: str, format: str | None) -> bool:
    if name == "integer":
        return type(value) is int and (abs(value) <= _LARGEST or format == "bigint")
    if name == "number":
        # An int of thousands of digits compares with a float, and does not become one.
        return type(value) in (int, float) and abs(value) <= _LARGEST_NUMBER
    return type(value) is _TYPES[name]


_LARGEST_NUMBER = 1.7976931348623157e308

_TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _equal(one: Any, other: Any) -> bool:
    return type(one) is type(other) and one == other


def _type(value: Any, wanted: Any, schema: Schema, at: str) -> Iterator[str]:
    names = [wanted] if isinstance(wanted, str) else wanted
    if not any(_has_type(value, name, schema.get("format")) for name in names):
        yield _said(at, f"is not of type {' or '.join(names)}")


def _const(value: Any, wanted: Any, schema: Schema, at: str) -> Iterator[str]:
    if not _equal(value, wanted):
        yield _said(at, f"is not {wanted!r}")


def _enum(value: Any, wanted: Any, schema: Schema, at: str) -> Iterator[str]:
    if not any(_equal(value, one) for one in wanted):
        yield _said(at, f"is none of {', '.join(map(str, wanted))}")


def _required(value: Any, wanted: Any, schema: Schema, at: str) -> Iterator[str]:
    missing = [name for name in wanted if isinstance(value, dict) and name not in value]
    if missing:
        yield _said(at, f"has no {missing[0]!r}")


def _properties(value: Any, wanted: Any, schema: Schema, at: str) -> Iterator[str]:
    for name in wanted if isinstance(value, dict) else ():
        if name in value:
            yield from _faults(value[name], wanted[name], f"{at}.{name}")


def _additional(value: Any, wanted: Any, schema: Schema, at: str) -> Iterator[str]:
    known = schema.get("properties", {})
    for name in value if isinstance(value, dict) else ():
        if name not in known:
            if wanted is False:
                yield _said(at, f"has {name!r:.100}, which this tithe does not know")
            else:
                yield from _faults(value[name], wanted, f"{at}.{name:.100}")


def _names(value: Any, wanted: Any, schema: Schema, at: str) -> Iterator[str]:
    for name in value if isinstance(value, dict) else ():
        yield from _faults(name, wanted, f"{at}.{name:.100}")


def _items(value: Any, wanted: Any, schema: Schema, at: str) -> Iterator[str]:
    for i, item in enumerate(value if isinstance(value, list) else ()):
        yield from _faults(item, wanted, f"{at}[{i}]")


def _fewest(value: Any, wanted: Any, schema: Schema, at: str) -> Iterator[str]:
    if isinstance(value, list) and len(value) < wanted:
        yield _said(at, f"has fewer than {wanted} items")


def _most(value: Any, wanted: Any, schema: Schema, at: str) -> Iterator[str]:
    if isinstance(value, list) and len(value) > wanted:
        yield _said(at, f"has more than {wanted} items")


def _least(value: Any, wanted: Any, schema: Schema, at: str) -> Iterator[str]:
    if _is_number(value) and not value >= wanted:
        yield _said(at, f"is below {wanted}")


def _greatest(value: Any, wanted: Any, schema: Schema, at: str) -> Iterator[str]:
    if _is_number(value) and not value <= wanted:
        yield _said(at, f"is above {wanted}")


def _pattern(value: Any, wanted: Any, schema: Schema, at: str) -> Iterator[str]:
    # $ of Python fits before a line end, too, which that of JSON Schema does not.
    if isinstance(value, str) and re.search(wanted.replace("$", r"\Z"), value) is None:
        yield _said(at, "is not written as it should be")


def _any_of(value: Any, wanted: Any, schema: Schema, at: str) -> Iterator[str]:
    if not any(next(_faults(value, one, at), None) is None for one in wanted):
        yield _said(at, "is nothing that it may be")


def _one_of(value: Any, wanted: Any, schema: Schema, at: str) -> Iterator[str]:
    if sum(next(_faults(value, one, at), None) is None for one in wanted) != 1:
        yield _said(at, "is nothing that it may be")


_CHECKS: dict[str, Check] = {
    "type": _type,
    "const": _const,
    "enum": _enum,
    "required": _required,
    "properties": _properties,
    "additionalProperties": _additional,
    "propertyNames": _names,
    "items": _items,
    "minItems": _fewest,
    "maxItems": _most,
    "minimum": _least,
    "maximum": _greatest,
    "pattern": _pattern,
    "anyOf": _any_of,
    "oneOf": _one_of,
}
