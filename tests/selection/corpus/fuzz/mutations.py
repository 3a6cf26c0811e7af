"""Damage: to any bytes, and to a Parquet file with knowledge of its footer and pages."""

from __future__ import annotations

import zlib
from random import Random
from typing import Any

import pyarrow as pa

from tests.selection.corpus.fuzz import thrift
from tests.selection.corpus.fuzz.thrift import BINARY, INTEGERS, LIST, STRUCT

_NUMBERS = (
    *range(-2, 20), 31, 32, 63, 64, 100, 127, 128, 255, 256, 1000, 8191, 8192, 65535, 65536, 2**20, 2**24, 2**30,
    2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**40, 2**60, 2**62, 2**63 - 1, -(2**31), -(2**63), -(2**40), -1000,
)  # fmt: skip

_MAGIC = (b"PAR1", b"PARE", b"ARROW1", b"\x1f\x8b\x08", b"BZh9", b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18", b"\0\0\0\0")

_CODECS = {1: "snappy", 2: "gzip", 6: "zstd"}


def damaged(content: bytes, rng: Random, at_most: int = 4) -> bytes:
    """The content with one or a few changes."""
    for _ in range(rng.randint(1, at_most)):
        content = rng.choice(_CHANGES)(content, rng)
    return content


def _flip(content: bytes, rng: Random) -> bytes:
    if not content:
        return b"\0"
    out = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def _overwrite(content: bytes, rng: Random) -> bytes:
    at = rng.randint(0, len(content))
    new = rng.choice((rng.randbytes(rng.randint(1, 8)), b"\xff" * rng.randint(1, 9), bytes(rng.randint(1, 9)), *_MAGIC))
    return content[:at] + new + content[at + len(new) :]


def _truncate(content: bytes, rng: Random) -> bytes:
    return content[: rng.randint(0, len(content))] if rng.random() < 0.5 else content[: -rng.randint(1, 12)]


def _behead(content: bytes, rng: Random) -> bytes:
    return content[rng.randint(1, 12) :]


def _cut(content: bytes, rng: Random) -> bytes:
    start, end = _slice(content, rng)
    return content[:start] + content[end:]


def _repeat(content: bytes, rng: Random) -> bytes:
    start, end = _slice(content, rng)
    return content[:end] + content[start:end] * rng.choice((1, 1, 2, 10)) + content[end:]


def _move(content: bytes, rng: Random) -> bytes:
    start, end = _slice(content, rng)
    rest = content[:start] + content[end:]
    at = rng.randint(0, len(rest))
    return rest[:at] + content[start:end] + rest[at:]


def _insert(content: bytes, rng: Random) -> bytes:
    at = rng.choice((0, len(content), rng.randint(0, len(content))))
    return content[:at] + rng.choice((rng.randbytes(rng.randint(1, 30)), *_MAGIC)) + content[at:]


def _double(content: bytes, rng: Random) -> bytes:
    return content + content


_CHANGES = (_flip, _flip, _flip, _overwrite, _overwrite, _truncate, _behead, _cut, _repeat, _move, _insert, _double)


def _slice(content: bytes, rng: Random) -> tuple[int, int]:
    start = rng.randint(0, len(content))
    return start, min(len(content), start + rng.choice((1, 2, 4, 8, 30, 200, 1000)))


def footer_damaged(content: bytes, rng: Random) -> bytes:
    """A Parquet file with changes to the values and the structure of its footer, or to the footer's frame."""
    start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    chance = rng.random()
    if chance < 0.08:
        size = rng.choice((0, 1, 8, len(content), len(content) - 8, len(content) - 12, 2**31 - 1, 2**31, 2**32 - 1))
        if rng.random() < 0.5:
            size = max(0, len(content) - 8 - start + rng.randint(-20, 20))
        return content[:-8] + size.to_bytes(4, "little") + rng.choice((b"PAR1", b"PAR1", b"PARE"))
    if chance < 0.25:
        return _framed(content[:start], damaged(content[start:-8], rng))
    footer, _ = thrift.decode(content, start)
    if chance < 0.33:
        _nest(footer, rng)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        change_tree(footer, rng)
    return _framed(content[:start], thrift.encode(footer))


def page_damaged(content: bytes, rng: Random) -> bytes:
    """A Parquet file with changes to one page: its header, or its content before compression; the rest fits."""
    start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    footer, _ = thrift.decode(content, start)
    chunks = [
        thrift.value(chunk, 3)
        for group in (thrift.value(footer, 4) or [STRUCT, []])[1]
        for chunk in thrift.value(group, 1)[1]
    ]
    if not chunks:
        return damaged(content, rng)
    chunk = rng.choice(chunks)
    at, header, body = rng.choice(_pages(content, chunk))
    size = len(thrift.encode(header)) + len(body)
    if rng.random() < 0.5:
        plain = _decompressed(chunk, header, body)
        changed = damaged(plain, rng)
        body = _compressed(chunk, header, changed)
        thrift.field(header, 2)[2] += len(changed) - len(plain)  # type: ignore[index]
        thrift.field(header, 3)[2] = len(body)  # type: ignore[index]
        if (crc := thrift.field(header, 4)) is not None:
            crc[2] = int.from_bytes(zlib.crc32(body).to_bytes(4, "big"), "big", signed=True)
    if rng.random() < 0.6:
        for _ in range(rng.choice((1, 1, 2, 3))):
            change_tree(header, rng)
    page = thrift.encode(header) + body
    grown = len(page) - size
    for meta in chunks:
        for number in (9, 11):
            offset = thrift.field(meta, number)
            if offset is not None and offset[2] > at:
                offset[2] += grown
    thrift.field(chunk, 7)[2] += grown  # type: ignore[index]
    if rng.random() < 0.2:
        change_tree(footer, rng)
    return _framed(content[:at] + page + content[at + size : start], thrift.encode(footer))


def _framed(pages: bytes, footer: bytes) -> bytes:
    return pages + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def _pages(content: bytes, chunk: list) -> list[tuple[int, list, bytes]]:
    """Where each page of a column chunk begins, its header, its bytes."""
    at = thrift.value(chunk, 11) or thrift.value(chunk, 9)
    end = at + thrift.value(chunk, 7)
    found = []
    while at < end:
        header, after = thrift.decode(content, at)
        size = thrift.value(header, 3)
        found.append((at, header, content[after : after + size]))
        at = after + size
    return found


def _levels(header: list) -> int:
    """Bytes of a page that are never compressed: the levels of version 2."""
    second = thrift.value(header, 8)
    return thrift.value(second, 5) + thrift.value(second, 6) if second else 0


def _plain(header: list) -> bool:
    """Whether a page of version 2 says that it is not compressed, whatever its column is."""
    second = thrift.field(thrift.value(header, 8) or [], 7)
    return second is not None and second[1] == thrift.FALSE


def _decompressed(chunk: list, header: list, body: bytes) -> bytes:
    codec, levels = _CODECS.get(thrift.value(chunk, 4)), _levels(header)
    size = thrift.value(header, 2) - levels
    if codec is None or size == 0 or _plain(header):
        return body
    return body[:levels] + pa.Codec(codec).decompress(body[levels:], size, asbytes=True)


def _compressed(chunk: list, header: list, plain: bytes) -> bytes:
    codec, levels = _CODECS.get(thrift.value(chunk, 4)), _levels(header)
    return (
        plain
        if codec is None or _plain(header)
        else plain[:levels] + pa.Codec(codec).compress(plain[levels:], asbytes=True)
    )


def _nest(footer: list, rng: Random) -> None:
    """Put groups, one in the other, around a column."""
    elements = thrift.value(footer, 2)[1]
    if len(elements) < 2:
        return
    at = rng.randrange(1, len(elements))
    depth = rng.choice((1, 2, 10, 60, 98, 200, 1000, 5000))
    repetition = rng.choice((0, 1, 2))
    group = [[3, thrift.I32, repetition], [4, BINARY, b"g"], [5, thrift.I32, 1]]
    elements[at:at] = [[list(entry) for entry in group] for _ in range(depth)]


def change_tree(root: list, rng: Random) -> None:
    """Change one thing in a thrift struct."""
    places = list(_places(root))
    structs = [root, *(holder[i] for holder, i, kind in places if kind == STRUCT)]
    if rng.random() < 0.25:
        _change_struct(rng.choice(structs), rng)
        return
    if not places:
        return
    holder, i, kind = rng.choice(places)
    old = holder[i]
    if kind in INTEGERS:
        others = [other[j] for other, j, code in places if code in INTEGERS]
        holder[i] = rng.choice(
            (
                rng.choice(_NUMBERS),
                rng.choice(_NUMBERS),
                old + rng.choice((-1, 1, -8, 8)),
                old ^ (1 << rng.randrange(63)),
                old * 2,
                rng.choice(others),
            )
        )
    elif kind == BINARY:
        others = [other[j] for other, j, code in places if code == BINARY]
        holder[i] = rng.choice(
            (b"", b"\xff" + old, old * rng.choice((2, 1000)), rng.choice(others), damaged(old, rng), damaged(old, rng))
        )
    elif kind == LIST and old[1]:
        items = old[1]
        at = rng.randrange(len(items))
        chance = rng.random()
        if chance < 0.3:
            del items[at]
        elif chance < 0.6:
            items[at:at] = [items[at]] * rng.choice((1, 1, 2, 100))
        elif chance < 0.8:
            rng.shuffle(items)
        else:
            old[1] = []
    elif kind == STRUCT:
        _change_struct(old, rng)
    elif kind == thrift.DOUBLE:
        holder[i] = rng.choice((0.0, -1.0, float("inf"), float("nan")))


def _change_struct(fields: list, rng: Random) -> None:
    if not fields:
        return
    at = rng.randrange(len(fields))
    chance = rng.random()
    if chance < 0.5:
        del fields[at]
    elif chance < 0.7:
        fields[at][0] = rng.choice((0, 1, 2, 3, 5, 9, 14, 15, 100, 32767, fields[at][0] + 1))
    elif chance < 0.9:
        fields.insert(rng.randint(0, len(fields)), list(rng.choice(fields)))
    elif fields[at][1] in INTEGERS:
        fields[at][1] = rng.choice(INTEGERS)


def _places(fields: list) -> Any:
    """Every value of a tree: what holds it, where, and its type."""
    for entry in fields:
        yield entry, 2, entry[1]
        if entry[1] == STRUCT:
            yield from _places(entry[2])
        elif entry[1] in (LIST, thrift.SET):
            kind, items = entry[2]
            for i in range(len(items)):
                yield items, i, kind
                if kind == STRUCT:
                    yield from _places(items[i])
