"""The subset in other shapes than a column of weights."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tithe.selection.corpus.corpus import Corpus, open_corpus
from tithe.selection.corpus.inputs import Compression, Format
from tithe.selection.errors import TitheError, UsageError
from tithe.selection.options.choices import WeightsAs
from tithe.selection.storage.own_files import OwnPath
from tithe.selection.subset import shuffled
from tithe.selection.subset.exporters.parquet import ROW_GROUP
from tithe.selection.subset.writer import check_writable, write_subset


def opened(tmp_path: Path, *names: str) -> Corpus:
    corpus = open_corpus([str(tmp_path / name) for name in names], spool=tmp_path)
    corpus.row_count()
    return corpus


def write(
    corpus: Corpus,
    path: Path,
    rows: list[int],
    format: Format,
    weights_as: WeightsAs,
    *,
    lines: list[int] | None = None,
    compression: Compression | None = None,
) -> None:
    check_writable(corpus, format, "weight", weights_as)
    path.unlink(missing_ok=True)
    write_subset(
        corpus,
        np.array(rows),
        np.array([1 + row / 4 for row in rows]),
        path=OwnPath.of(path),
        format=format,
        compression=compression,
        weight_column="weight",
        weights_as=weights_as,
        lines=None if lines is None else np.array(lines),
    )


CHATS = [
    '{"messages": [{"role": "user", "content": "é"}, {"role":"assistant","content":"b" } ], "n": 1.10, "dup": 1, "dup": 2}',
    '{ "big" : 123456789012345678901234567890,"messages":[ {"content": "}]\\"", "role": "assistant"}, '
    '{"role": "user", "content": ""},{"role": "tool_call", "content": "{}"}] }  ',
    '{"messages": []}',
    '{"messages": "not these", "messages": [{"role": "assistant", "content": "c", "loss": false}]}',
]


def test_the_scale_comes_into_the_messages_and_all_else_keeps_its_text(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("\n".join(CHATS) + "\n", encoding="utf-8")
    write(opened(tmp_path, "a.jsonl"), tmp_path / "out", [0, 1, 2, 3], "jsonl", "loss-scale")
    assert (tmp_path / "out").read_text(encoding="utf-8").splitlines() == [
        '{"messages": [{"role": "user", "content": "é"}, {"role":"assistant","content":"b", "loss_scale": 1.0} ], '
        '"n": 1.10, "dup": 1, "dup": 2}',
        '{ "big" : 123456789012345678901234567890,"messages":[ {"content": "}]\\"", "role": "assistant", '
        '"loss_scale": 1.25}, {"role": "user", "content": ""},{"role": "tool_call", "content": "{}", '
        '"loss_scale": 1.25}] }',
        '{"messages": []}',
        '{"messages": "not these", "messages": [{"role": "assistant", "content": "c", "loss": false, '
        '"loss_scale": 1.75}]}',
    ]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
messages = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": values}), max_size=4
)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.fixed_dictionaries({"messages": messages, "other": values}), min_size=1, max_size=4),
    st.sampled_from([None, 1]),
)
def test_any_chat_comes_back_with_its_scale(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, Any]], indent: int | None
) -> None:
    folder = tmp_path_factory.mktemp("scale")
    lines = [json.dumps(record, indent=indent).replace("\n", "\t") for record in records]
    (folder / "a.jsonl").write_text("\n".join(lines) + "\n")
    write(opened(folder, "a.jsonl"), folder / "out", list(range(len(records))), "jsonl", "loss-scale")
    back = [json.loads(line) for line in (folder / "out").read_text().splitlines()]
    for i, (after, before) in enumerate(zip(back, records, strict=True)):
        for message in before["messages"]:
            if message["role"] == "assistant":
                message["loss_scale"] = 1 + i / 4
        assert after == before


CHAT_TABLE = [
    [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
    [{"role": "assistant", "content": "c"}],
    [],
    [{"role": "system", "content": "d"}, None, {"role": None, "content": "e"}, {"role": "assistant", "content": None}],
]
SCALED_TABLE = [
    [{"role": "user", "content": "a", "loss_scale": None}, {"role": "assistant", "content": "b", "loss_scale": 1.0}],
    [{"role": "assistant", "content": "c", "loss_scale": 1.25}],
    [],
    [
        {"role": "system", "content": "d", "loss_scale": None},
        None,
        {"role": None, "content": "e", "loss_scale": None},
        {"role": "assistant", "content": None, "loss_scale": 1.75},
    ],
]
ROLE = {"role": {"dtype": "string", "_type": "Value"}, "content": {"dtype": "string", "_type": "Value"}}
SCALED_ROLE = {**ROLE, "loss_scale": {"dtype": "float64", "_type": "Value"}}


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ({"feature": ROLE, "_type": "List"}, {"feature": SCALED_ROLE, "_type": "List"}),
        ([ROLE], [SCALED_ROLE]),
        ({"feature": ROLE["role"], "_type": "List"}, None),
        ("nonsense", None),
    ],
)
@pytest.mark.parametrize("large", [False, True])
def test_messages_in_parquet_get_the_scale_in_schema_and_features(
    tmp_path: Path, features: Any, expected: Any, large: bool
) -> None:
    message = pa.struct([pa.field("role", pa.dictionary(pa.int8(), pa.string())), ("content", pa.large_string())])
    kind = pa.large_list(message) if large else pa.list_(message)
    metadata = {"huggingface": json.dumps({"info": {"features": {"messages": features}}}), "own": "value"}
    table = pa.table(
        {"id": range(4), "messages": pa.array(CHAT_TABLE, kind)},
        schema=pa.schema([("id", pa.int64()), ("messages", kind)], metadata=metadata),
    )
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=3)
    write(opened(tmp_path, "a.parquet"), tmp_path / "out.parquet", [0, 1, 2, 3], "parquet", "loss-scale")
    out = pq.read_table(tmp_path / "out.parquet")
    assert out["messages"].to_pylist() == SCALED_TABLE
    assert out.schema.names == ["id", "messages"]
    assert out.schema.metadata[b"own"] == b"value"
    if expected is None:
        assert b"huggingface" not in out.schema.metadata
    else:
        assert json.loads(out.schema.metadata[b"huggingface"])["info"]["features"]["messages"] == expected
    write(opened(tmp_path, "a.parquet"), tmp_path / "out.jsonl", [1], "jsonl", "loss-scale")
    assert json.loads((tmp_path / "out.jsonl").read_text())["messages"] == SCALED_TABLE[1]


def test_json_chats_become_parquet_with_their_scale(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"messages": chat}) + "\n" for chat in CHAT_TABLE[:3]))
    write(opened(tmp_path, "a.jsonl"), tmp_path / "out.parquet", [0, 1, 2], "parquet", "loss-scale")
    assert pq.read_table(tmp_path / "out.parquet")["messages"].to_pylist() == SCALED_TABLE[:3]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"text": "a"}', "has no list 'messages'"),
        ('{"messages": "a"}', "has no list 'messages'"),
        ('{"messages": ["a"]}', "has no list 'messages'"),
        ('{"messages": [{"role": "assistant", "loss_scale": 1}]}', "has a loss_scale in its 'messages' already"),
    ],
)
def test_records_that_cannot_hold_a_scale_are_refused(tmp_path: Path, line: str, reason: str) -> None:
    (tmp_path / "a.jsonl").write_text(line + "\n")
    with pytest.raises(UsageError, match=rf"loss-scale: .*a\.jsonl: {reason}"):
        check_writable(opened(tmp_path, "a.jsonl"), "jsonl", "weight", "loss-scale")
    (tmp_path / "b.jsonl").write_text(CHATS[0] + "\n" + line + "\n")
    for format in ("jsonl", "parquet"):
        with pytest.raises(TitheError, match=rf"b\.jsonl, line 2: {reason}"):
            write(opened(tmp_path, "b.jsonl"), tmp_path / "out", [0, 1], format, "loss-scale")


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (pa.array(["a"]), "has no list 'messages'"),
        (pa.array([["a"]]), "the 'messages' have no 'role'"),
        (pa.array([[{"from": "gpt"}]]), "the 'messages' have no 'role'"),
        (pa.array([[{"role": "assistant", "loss_scale": 1.0}]]), "has a loss_scale"),
    ],
)
def test_columns_that_cannot_hold_a_scale_are_refused(tmp_path: Path, column: pa.Array, reason: str) -> None:
    pq.write_table(pa.table({"messages": column}), tmp_path / "a.parquet")
    with pytest.raises(UsageError, match=reason):
        check_writable(opened(tmp_path, "a.parquet"), "parquet", "weight", "loss-scale")


def test_null_messages_in_parquet_are_refused_by_row(tmp_path: Path) -> None:
    message = pa.list_(pa.struct([("role", pa.string())]))
    pq.write_table(pa.table({"messages": pa.array([[], None], message)}), tmp_path / "a.parquet")
    with pytest.raises(TitheError, match=r"a\.parquet, row 1: has no list 'messages'"):
        write(opened(tmp_path, "a.parquet"), tmp_path / "out", [0, 1], "parquet", "loss-scale")


LINES = [3, 1, 1, 0, 3, 3, 4]  # of five records, the third is in none


@pytest.mark.parametrize("compression", [None, "gzip", "zstd"])
def test_json_lines_come_in_the_order_and_as_often_as_asked(tmp_path: Path, compression: Compression | None) -> None:
    texts = [f'{{"i":  {i}, "weight": "own", "t": "{"ü" * i}"}}' for i in range(20)]
    (tmp_path / "a.jsonl").write_text("\n".join(texts), encoding="utf-8")
    rows = [2, 3, 5, 11, 19]
    corpus = opened(tmp_path, "a.jsonl")
    write(corpus, tmp_path / "out", rows, "jsonl", "replicate", lines=LINES, compression=compression)
    content = (tmp_path / "out").read_bytes()
    if compression == "gzip":
        content = gzip.decompress(content)
    elif compression == "zstd":
        content = pa.input_stream(str(tmp_path / "out"), compression="zstd").read()
    assert content.decode().split("\n") == [*(texts[rows[i]] for i in LINES), ""]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "out"]


@pytest.mark.parametrize("block_bytes", [1, 16 << 20])
def test_parquet_rows_come_in_the_order_and_as_often_as_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int
) -> None:
    monkeypatch.setattr(shuffled, "_BLOCK_BYTES", block_bytes)
    schema = pa.schema(
        [
            pa.field("text", pa.string(), nullable=False, metadata={"note": "kept"}),
            pa.field("label", pa.dictionary(pa.int32(), pa.string())),
            pa.field("view", pa.string_view()),
            pa.field("nested", pa.list_(pa.struct([("a", pa.int8())]))),
            pa.field("when", pa.timestamp("us", tz="UTC")),
        ],
        metadata={"huggingface": json.dumps({"info": {"features": {}}}), "own": "value"},
    )
    tables = []
    for part in range(2):  # each file has a dictionary of its own
        content = {
            "text": [f"t{part}{i}" for i in range(50)],
            "label": pa.array([f"l{part}{i % 3}" for i in range(50)]).dictionary_encode(),
            "view": pa.array([f"v{i}" * 9 for i in range(50)], pa.string_view()),
            "nested": [[{"a": i}] * (i % 3) for i in range(50)],
            "when": pa.array(range(50), pa.timestamp("us", tz="UTC")),
        }
        tables.append(pa.table(content, schema=schema))
        pq.write_table(tables[-1], tmp_path / f"{part}.parquet", row_group_size=7)
    rows = [2, 3, 55, 61, 99]
    write(opened(tmp_path, "0.parquet", "1.parquet"), tmp_path / "out", rows, "parquet", "replicate", lines=LINES)
    out = pq.read_table(tmp_path / "out")
    together = [row for table in tables for row in table.to_pylist()]
    assert out.to_pylist() == [together[rows[i]] for i in LINES]
    assert out.schema.names == schema.names
    assert out.schema.field("text").metadata[b"note"] == b"kept"
    assert out.schema.metadata[b"own"] == b"value"
    assert json.loads(out.schema.metadata[b"huggingface"])["info"]["features"] == {}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.parquet", "1.parquet", "out"]


def test_many_rows_in_another_order_make_full_row_groups(tmp_path: Path) -> None:
    pq.write_table(pa.table({"i": range(20_000)}), tmp_path / "a.parquet")
    lines = np.random.default_rng(0).integers(0, 10_000, 10_000).tolist()
    rows = list(range(0, 20_000, 2))
    write(opened(tmp_path, "a.parquet"), tmp_path / "out", rows, "parquet", "resample", lines=lines)
    assert pq.read_table(tmp_path / "out")["i"].to_pylist() == [2 * i for i in lines]
    metadata = pq.ParquetFile(tmp_path / "out").metadata
    assert [metadata.row_group(i).num_rows for i in range(3)] == [ROW_GROUP, ROW_GROUP, 10_000 - 2 * ROW_GROUP]


def test_json_repeats_in_parquet(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"i": 0}\n{"i": 1, "s": "x"}\n{"i": 2.5}\n')
    write(opened(tmp_path, "a.jsonl"), tmp_path / "out", [0, 1, 2], "parquet", "replicate", lines=[1, 0, 1])
    assert pq.read_table(tmp_path / "out").to_pylist() == [{"i": 1, "s": "x"}, {"i": 0, "s": None}, {"i": 1, "s": "x"}]


def test_records_only(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"i":0,"weight":1}\n{"i": 1}\n')
    write(opened(tmp_path, "a.jsonl"), tmp_path / "out", [0, 1], "jsonl", "none")
    assert (tmp_path / "out").read_text() == (tmp_path / "a.jsonl").read_text()
    (tmp_path / "b.jsonl").write_text("{}\n")
    with pytest.raises(TitheError, match="without any field cannot become Parquet"):
        write(opened(tmp_path, "b.jsonl"), tmp_path / "out", [0], "parquet", "none")
