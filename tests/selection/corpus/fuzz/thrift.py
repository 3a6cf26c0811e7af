"""Thrift's compact protocol, as far as Parquet's footer and page headers use it: to a tree that can be changed, and back.

A struct is a list of fields, each a list [number, type, value]; a list is [type of its items, items].
"""

from __future__ import annotations

import struct
from typing import Any

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)
INTEGERS = (BYTE, I16, I32, I64)


class NotThrift(Exception):
    """Bytes that are no struct, or use what Parquet does not."""


def decode(content: bytes, at: int = 0) -> tuple[list, int]:
    """The struct that begins at a position, and where it ends."""
    try:
        return _struct(content, at)
    except (IndexError, struct.error, RecursionError) as error:
        raise NotThrift from error


def encode(fields: list) -> bytes:
    """The bytes of a struct."""
    out = bytearray()
    before = 0
    for number, kind, value in fields:
        if 0 < number - before < 16:
            out.append((number - before) << 4 | kind)
        else:
            out.append(kind)
            out += _to_varint(_zigzag(number))
        before = number
        out += _bytes(kind, value)
    return bytes(out) + b"\0"


def field(fields: list, number: int) -> list | None:
    """The first field with a number, itself: what is assigned to its last item changes the tree."""
    return next((entry for entry in fields if entry[0] == number), None)


def value(fields: list, number: int) -> Any:
    """The value of a field; None where it is missing."""
    entry = field(fields, number)
    return entry[2] if entry else None


def _struct(content: bytes, at: int) -> tuple[list, int]:
    fields, number = [], 0
    while content[at]:
        head = content[at]
        at += 1
        if head >> 4:
            number += head >> 4
        else:
            raw, at = _varint(content, at)
            number = _unzigzag(raw)
        kind = head & 15
        if kind in (TRUE, FALSE):
            fields.append([number, kind, None])
            continue
        found, at = _value(kind, content, at)
        fields.append([number, kind, found])
    return fields, at + 1


def _value(kind: int, content: bytes, at: int) -> tuple[Any, int]:
    if kind in (BYTE, TRUE, FALSE):
        return content[at], at + 1
    if kind in INTEGERS:
        raw, at = _varint(content, at)
        return _unzigzag(raw), at
    if kind == DOUBLE:
        return struct.unpack_from("<d", content, at)[0], at + 8
    if kind == BINARY:
        size, at = _varint(content, at)
        if size > len(content) - at:
            raise NotThrift
        return content[at : at + size], at + size
    if kind in (LIST, SET):
        head = content[at]
        count, at = (head >> 4, at + 1) if head >> 4 < 15 else _varint(content, at + 1)
        items = []
        for _ in range(count):
            item, at = _value(head & 15, content, at)
            items.append(item)
        return [head & 15, items], at
    if kind == STRUCT:
        return _struct(content, at)
    raise NotThrift


def _bytes(kind: int, value: Any) -> bytes:
    if kind in (TRUE, FALSE) and value is None:
        return b""
    if kind in (BYTE, TRUE, FALSE):
        return bytes([value & 255])
    if kind in INTEGERS:
        return _to_varint(_zigzag(value))
    if kind == DOUBLE:
        return struct.pack("<d", value)
    if kind == BINARY:
        return _to_varint(len(value)) + value
    if kind == STRUCT:
        return encode(value)
    inner, items = value
    head = bytes([len(items) << 4 | inner]) if len(items) < 15 else bytes([0xF0 | inner]) + _to_varint(len(items))
    return head + b"".join(_bytes(inner, item) for item in items)


def _varint(content: bytes, at: int) -> tuple[int, int]:
    found = shift = 0
    while True:
        byte = content[at]
        at += 1
        found |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return found, at


def _to_varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def _zigzag(number: int) -> int:
    return ((number << 1) ^ (number >> 63)) & (2**64 - 1)


def _unzigzag(raw: int) -> int:
    return (raw >> 1) ^ -(raw & 1)
