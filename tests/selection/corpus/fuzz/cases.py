"""The cases: a number gives a file, always the same one."""

from __future__ import annotations

import bz2
import datetime
import decimal
import functools
import gzip
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.selection.corpus.fuzz.mutations import damaged, footer_damaged, page_damaged


@dataclass(frozen=True)
class Case:
    """A file to be read, under a name whose suffixes say how."""

    kind: str
    name: str
    content: bytes


def make_case(number: int, seed: int) -> Case:
    """The case of a number under a seed."""
    rng = Random(f"{seed} {number}")
    kind = KINDS[number % len(KINDS)]
    return Case(kind, *_MAKERS[kind](rng))


def _jsonl(rng: Random) -> tuple[str, bytes]:
    content = json_lines(rng)
    return "c.jsonl", damaged(content, rng) if rng.random() < 0.8 else content


def _stream(rng: Random, suffix: str, content: bytes) -> bytes:
    """Compressed in one piece or several, then damaged or not."""
    compress = _COMPRESS[suffix]
    cuts = sorted(rng.randint(0, len(content)) for _ in range(rng.choice((0, 0, 1, 3))))
    pieces = [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    stream = b"".join(compress(piece, rng) for piece in pieces)
    return damaged(stream, rng) if rng.random() < 0.85 else stream


def _compressed_jsonl(suffix: str, rng: Random) -> tuple[str, bytes]:
    content = json_lines(rng)
    if len(content) < 10_000:
        content *= rng.choice((1, 1, 1, 50))
    return f"c.jsonl{suffix}", _stream(rng, suffix, damaged(content, rng) if rng.random() < 0.2 else content)


def _compressed_parquet(rng: Random) -> tuple[str, bytes]:
    suffix = rng.choice(list(_COMPRESS))
    content = rng.choice(parquet_files())
    if rng.random() < 0.5:
        content = rng.choice((damaged, footer_damaged, page_damaged))(content, rng)
        return f"c.parquet{suffix}", _COMPRESS[suffix](content, rng)
    return f"c.parquet{suffix}", _stream(rng, suffix, content)


def _parquet(change: Callable[[bytes, Random], bytes], rng: Random) -> tuple[str, bytes]:
    return "c.parquet", change(rng.choice(parquet_files()), rng)


def _losses(rng: Random) -> tuple[str, bytes]:
    if rng.random() < 0.4:
        lines = [{"row": i, "loss": rng.choice((0.5, 1, 2**70, -1, "x", None))} for i in range(rng.randint(0, 6))]
        return "losses.jsonl", damaged("\n".join(map(json.dumps, lines)).encode(), rng)
    return "losses.parquet", rng.choice((damaged, footer_damaged, page_damaged))(rng.choice(loss_files()), rng)


def _subset(rng: Random) -> tuple[str, bytes]:
    """What `--exclude` reads: a rows file, or the manifest."""
    if rng.random() < 0.3:
        manifest = json.dumps({"inputs": [{"sha256": "0" * 64}], "n": 3}).encode()
        return "s.parquet.manifest.json", rng.choice((damaged(manifest, rng), b"[" * 100_000, b"[]", b"9" * 9999))
    return "s.parquet.rows.parquet", rng.choice((damaged, footer_damaged, page_damaged))(rng.choice(row_files()), rng)


_MAKERS: dict[str, Callable[[Random], tuple[str, bytes]]] = {
    "JSONL": _jsonl,
    "JSONL in gzip": functools.partial(_compressed_jsonl, ".gz"),
    "JSONL in zstd": functools.partial(_compressed_jsonl, ".zst"),
    "JSONL in bz2": functools.partial(_compressed_jsonl, ".bz2"),
    "Parquet, footer": functools.partial(_parquet, footer_damaged),
    "Parquet, pages": functools.partial(_parquet, page_damaged),
    "Parquet, bytes": functools.partial(_parquet, damaged),
    "Parquet, compressed": _compressed_parquet,
    "losses from a file": _losses,
    "an earlier subset": _subset,
}

KINDS = (
    *["Parquet, footer"] * 6, *["Parquet, pages"] * 5, *["Parquet, bytes"] * 2, *["JSONL"] * 2, "JSONL in gzip",
    "JSONL in zstd", "JSONL in bz2", "Parquet, compressed", "losses from a file", "an earlier subset",
)  # fmt: skip
"""Of as many cases as there are entries, one each."""


def json_lines(rng: Random) -> bytes:
    """JSONL with all that may stand in such a file, good and bad."""
    end = rng.choice((b"\n", b"\n", b"\r\n", b"\n\n", b"\n \t\r\n", b"\r"))
    lines = [_line(rng) for _ in range(rng.choice((0, 1, 2, 5, 20)))]
    content = end.join(lines) + rng.choice((b"", end))
    return (b"\xef\xbb\xbf" if rng.random() < 0.15 else b"") + content


def _line(rng: Random) -> bytes:
    if rng.random() < 0.25:
        return rng.choice(_ODD_LINES)
    if rng.random() < 0.002:
        return rng.choice(_HUGE_LINES)
    text = rng.choice(("words of a text", "", "\0", "\u2028", "é🙂", "\ud800", "\x85\x0b", "x" * 3000))
    record: dict[str, Any] = rng.choice(
        (
            {"text": text},
            {"text": text, "loss": 0.5, "row": 1},
            {"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": None}]},
            {"messages": [{"role": "user", "content": [{"type": "text", "text": text}, text, 3]}]},
            {"conversations": [{"from": "human", "value": text}]},
            {"prompt": text, "completion": [{"role": "assistant", "content": text}]},
            {"instruction": text, "input": rng.choice((None, "", "x")), "output": text},
            {"question": text, "answer": text, "n": rng.choice((2**63, 2**53 + 1, -1, 1e300, 0.1))},
            {"text": text, "nested": {"a": [{"b": [[], {}]}], "": None}},
            {text: text},
        )
    )
    return json.dumps(record, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")


_ODD_LINES = (
    b"", b" ", b"\x00", b"null", b"[]", b"3", b'"text"', b"{", b"}", b'{"a": 1} {"b": 2}', b'{"text": "a", "text": 1}',
    b'{"text": NaN}', b'{"text": -Infinity}', b'{"text": 1e999}', b'{"text": "\xff"}', b'{"text": "\xed\xa0\x80"}',
    b'{"text": "\\ud800"}', b'{"text": "\\u12"}', b'{"text": "a\tb"}', b'{"text": 00}', b'{"text": "a",}', b"\xef\xbb\xbf{}",
    b'{"weight": 1, "text": "x"}', b'{"text": ' + b"9" * 5000 + b"}", b'{"a": ' + b"[" * 120 + b"]" * 120 + b"}",
    b'{"text": ' + b"[" * 990 + b"]" * 990 + b"}", b'{"text": ' + b'{"text":' * 5000 + b"1" + b"}" * 5000 + b"}",
    b'{"messages": [[]]}', b'{"messages": {"content": 1}}', b'{"messages": [{"content": {"a": 1}}]}', b"{}", b"{} ",
    b'{"messages": [{"content": [' + b"[" * 500 + b"]" * 500 + b"]}]}", b"\xff\xfe{\x00}\x00",
)  # fmt: skip

_HUGE_LINES = (
    b'{"text": "' + b"a" * (9 << 20) + b'"}',
    b'{"text": ' + b"[" * 3_000_000 + b"}",
    b'{"text": [' + b"1," * 500_000 + b"1]}",
    b" " * (5 << 20),
    b'{"text": ' + b"1" * 3_000_000 + b"}",
)


@functools.cache
def parquet_files() -> list[bytes]:
    """Good Parquet files of many types, layouts and encodings."""
    found = []
    for number, table in enumerate(_tables()):
        for codec in ("none", "snappy", "zstd", "gzip"):
            rng = Random(f"{number} {codec}")
            found.append(
                _written(
                    table,
                    compression=codec,
                    row_group_size=rng.choice((9, 20, 1000)),
                    use_dictionary=rng.random() < 0.6,
                    write_page_checksum=rng.random() < 0.3,
                    data_page_version=rng.choice(("1.0", "2.0")),
                    data_page_size=rng.choice((20, 1 << 20)),
                    write_page_index=rng.random() < 0.3,
                    store_schema=rng.random() < 0.7,
                    write_statistics=rng.random() < 0.5,
                )
            )
    encodings = {"n": "DELTA_BINARY_PACKED", "text": "DELTA_BYTE_ARRAY", "x": "BYTE_STREAM_SPLIT"}
    for codec in ("none", "snappy"):
        found.append(_written(_encoded(), use_dictionary=False, column_encoding=encodings, compression=codec))
        encodings |= {"text": "DELTA_LENGTH_BYTE_ARRAY"}
    return found


def _encoded() -> pa.Table:
    return pa.table({"text": [f"text {i}" for i in range(40)], "n": list(range(40)), "x": [i / 7 for i in range(40)]})


def _tables() -> list[pa.Table]:
    rows = 24
    texts = [None if i % 7 == 3 else f"text number {i % 5}" for i in range(rows)]
    day = datetime.datetime(2024, 1, 2, 3, 4, 5, 6)
    chat = [
        [{"role": "user", "content": f"a{i}"}, {"role": "assistant", "content": None}] * (i % 3) for i in range(rows)
    ]
    return [
        pa.table({"text": texts}),
        pa.table(
            {"text": [f"{i}" for i in range(rows)], "id": list(range(rows)), "loss": [i / 3 for i in range(rows)]}
        ),
        pa.table({"messages": chat, "source": pa.array(texts).dictionary_encode()}),
        pa.table({"prompt": [f"p{i}" for i in range(rows)], "completion": chat}),
        pa.table({"instruction": texts, "input": texts, "output": [f"o{i}" for i in range(rows)]}),
        pa.table(
            {
                "text": pa.array(texts, pa.large_string()),
                "emb": pa.array([[float(i), 0.5, 1.0] for i in range(rows)], pa.list_(pa.float32(), 3)),
                "vec": pa.array([[float(i)] * (i % 4) for i in range(rows)], pa.list_(pa.float64())),
                "half": pa.array([float(i) for i in range(rows)], pa.float16()),
            }
        ),
        pa.table(
            {
                "text": pa.array([f"s{i}" for i in range(rows)]),
                "when": pa.array([day] * rows, pa.timestamp("ns", "Europe/Paris")),
                "day": pa.array([day.date()] * rows),
                "at": pa.array([day.time()] * rows, pa.time64("us")),
                "took": pa.array([datetime.timedelta(seconds=i) for i in range(rows)], pa.duration("ms")),
                "cost": pa.array([decimal.Decimal(i) / 100 for i in range(rows)], pa.decimal128(30, 5)),
                "more": pa.array([decimal.Decimal(i) for i in range(rows)], pa.decimal256(60, 0)),
            }
        ),
        pa.table(
            {
                "text": pa.array(texts, pa.string_view()),
                "raw": pa.array([bytes([i]) for i in range(rows)], pa.binary()),
                "fixed": pa.array([bytes([i] * 4) for i in range(rows)], pa.binary(4)),
                "flag": pa.array([i % 2 == 0 for i in range(rows)]),
                "small": pa.array(range(rows), pa.uint8()),
                "nothing": pa.nulls(rows),
            }
        ),
        pa.table(
            {
                "text": pa.array([[[f"a{i}"], []] for i in range(rows)], pa.list_(pa.list_(pa.string()))),
                "map": pa.array([[(f"k{i}", i)] for i in range(rows)], pa.map_(pa.string(), pa.int64())),
                "deep": [{"a": {"b": {"c": [{"d": i}, None]}}} for i in range(rows)],
                "dict": pa.array([["x", "y"][i % 2] for i in range(rows)]).dictionary_encode(),
            }
        ),
        pa.table({"a.b": list(range(rows)), "a": [{"b": i, "c.d": texts[i]} for i in range(rows)], "text": texts}),
        pa.table({"text": pa.array([], pa.string())}),
        pa.table({"text": ["the same long text " * 100] * rows}).replace_schema_metadata(
            {"huggingface": '{"info": {"features": {"text": {"dtype": "string", "_type": "Value"}}}}', "x": "y" * 50}
        ),
        pa.table({"text": [f"{i}" * 300 for i in range(60)], "i": list(range(60))}),
    ]


@functools.cache
def loss_files() -> list[bytes]:
    """What `file:` reads."""
    table = pa.table({"row": [0, 1, 2], "loss": [0.5, 1.5, 2.5]})
    return [
        _written(table),
        _written(table, compression="none", use_dictionary=False),
        _written(table, row_group_size=1),
    ]


@functools.cache
def row_files() -> list[bytes]:
    """What `--exclude` reads."""
    table = pa.table({"row": [0, 1, 2], "weight": [1.0, 2.0, 3.0]})
    return [
        _written(table),
        _written(table, compression="none", use_dictionary=False),
        _written(table, row_group_size=1),
    ]


def _written(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def _zstd(content: bytes, rng: Random) -> bytes:
    if rng.random() < 0.5:
        return pa.Codec("zstd").compress(content, asbytes=True)
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as out:  # a frame that does not say how long its content is
        out.write(content)
    return sink.getvalue().to_pybytes()


_COMPRESS: dict[str, Callable[[bytes, Random], bytes]] = {
    ".gz": lambda content, rng: gzip.compress(content, mtime=0),
    ".zst": _zstd,
    ".bz2": lambda content, rng: bz2.compress(content),
}
