"""What comes out is what went in, with a weight."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tithe.selection.corpus import Compression, Corpus, Format, open_corpus
from tithe.selection.errors import TitheError, UsageError
from tithe.selection.subset import ROW_GROUP, check_writable, write_subset


def opened(tmp_path: Path, *names: str) -> Corpus:
    corpus = open_corpus([str(tmp_path / name) for name in names], spool=tmp_path)
    corpus.row_count()
    return corpus


def write(
    corpus: Corpus, path: Path, rows: list[int], format: Format, compression: Compression | None = None
) -> list[float]:
    weights = [1 + row / 3 for row in rows]
    check_writable(corpus, format, "weight")
    write_subset(
        corpus,
        np.array(rows),
        np.array(weights),
        path=path,
        format=format,
        compression=compression,
        weight_column="weight",
    )
    return weights


AWKWARD = [
    '{"z": 1, "a": 2, "z2": {"y": [], "b": {}}}',
    '{"big": 123456789012345678901234567890, "small": 1e-400, "exact": 1.10}',
    '{"text": "ünï \\u00e9 \\ud83d\\ude00 \\ud800", "mixed": "a"}',
    '{"mixed": 1}   ',
    '{ "dup": 1, "dup": 2 }',
    "{}",
    '{"nested": {"weight": 3}, "ls": "\\u2028"}',
]


def test_jsonl_records_keep_their_own_text(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("\n".join(AWKWARD), encoding="utf-8")
    rows = [0, 1, 2, 3, 4, 5, 6]
    weights = write(opened(tmp_path, "a.jsonl"), tmp_path / "out", rows, "jsonl")
    lines = (tmp_path / "out").read_text(encoding="utf-8").split("\n")
    assert lines.pop() == ""
    for line, before, weight in zip(lines, AWKWARD, weights, strict=True):
        begun = before.strip()[:-1].rstrip()
        separator = "" if begun == "{" else ", "
        assert line == f'{begun}{separator}"weight": {json.dumps(weight)}}}'
        assert json.loads(line)["weight"] == weight


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.dictionaries(st.text().filter(lambda key: key != "weight"), json_values, max_size=4), min_size=1))
def test_any_json_object_comes_back_with_its_weight(tmp_path_factory: pytest.TempPathFactory, records: list) -> None:
    folder = tmp_path_factory.mktemp("subset")
    (folder / "a.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    weights = write(opened(folder, "a.jsonl"), folder / "out", list(range(len(records))), "jsonl")
    back = [json.loads(line) for line in (folder / "out").read_text().splitlines()]
    assert back == [{**record, "weight": weight} for record, weight in zip(records, weights, strict=True)]
    assert [list(record)[:-1] for record in back] == [list(record) for record in records]


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_compressed_jsonl_has_the_same_bytes_every_time(tmp_path: Path, compression: Compression) -> None:
    (tmp_path / "a.jsonl").write_text("".join(f'{{"i": {i}}}\n' for i in range(1000)))
    corpus = opened(tmp_path, "a.jsonl")
    for name in ("one", "two"):
        write(corpus, tmp_path / name, list(range(0, 1000, 7)), "jsonl", compression)
    content = (tmp_path / "one").read_bytes()
    assert content == (tmp_path / "two").read_bytes()
    plain = (
        gzip.decompress(content)
        if compression == "gzip"
        else pa.input_stream(str(tmp_path / "one"), compression="zstd").read()
    )
    assert [json.loads(line)["i"] for line in plain.splitlines()] == list(range(0, 1000, 7))


@pytest.fixture
def table() -> pa.Table:
    features = {"info": {"features": {"text": {"dtype": "string", "_type": "Value"}}}}
    schema = pa.schema(
        [
            pa.field("text", pa.string(), nullable=False, metadata={"note": "kept"}),
            pa.field("emb", pa.list_(pa.float16(), 2)),
            pa.field("when", pa.timestamp("us", tz="UTC")),
            pa.field("label", pa.dictionary(pa.int32(), pa.string())),
            pa.field("nested", pa.struct([("a", pa.int8()), ("b", pa.list_(pa.decimal128(9, 2)))])),
        ],
        metadata={"huggingface": json.dumps(features), "own": "value"},
    )
    n = 10_000
    return pa.table(
        {
            "text": [f"t{i}" for i in range(n)],
            "emb": [[i % 7, 0.5] for i in range(n)],
            "when": pa.array(range(n), pa.timestamp("us", tz="UTC")),
            "label": pa.array(["x", "y"] * (n // 2)).dictionary_encode(),
            "nested": [{"a": i % 100, "b": None} for i in range(n)],
        },
        schema=schema,
    )


def test_parquet_keeps_schema_metadata_and_values(tmp_path: Path, table: pa.Table) -> None:
    for start in (0, 5000):
        pq.write_table(table.slice(start, 5000), tmp_path / f"{start}.parquet", row_group_size=700)
    rows = list(range(0, 10_000, 2))
    weights = write(opened(tmp_path, "0.parquet", "5000.parquet"), tmp_path / "out.parquet", rows, "parquet")
    out = pq.read_table(tmp_path / "out.parquet")
    assert out.drop_columns(["weight"]).cast(table.schema).equals(table.take(rows))
    assert out["weight"].to_pylist() == weights
    for name in table.column_names:
        assert out.schema.field(name).type == table.schema.field(name).type
        assert out.schema.field(name).nullable == table.schema.field(name).nullable
    assert out.schema.field("text").metadata[b"note"] == b"kept"
    assert out.schema.metadata[b"own"] == b"value"
    features = json.loads(out.schema.metadata[b"huggingface"])["info"]["features"]
    assert features == {
        "text": {"dtype": "string", "_type": "Value"},
        "weight": {"dtype": "float64", "_type": "Value"},
    }
    metadata = pq.ParquetFile(tmp_path / "out.parquet").metadata
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [ROW_GROUP, 5000 - ROW_GROUP]


def test_metadata_that_only_looks_like_hugging_faces_is_left_alone(tmp_path: Path) -> None:
    schema = pa.schema([("text", pa.string())], metadata={"huggingface": "{not json"})
    pq.write_table(pa.table({"text": ["a", "b"]}, schema=schema), tmp_path / "a.parquet")
    write(opened(tmp_path, "a.parquet"), tmp_path / "out.parquet", [1], "parquet")
    assert pq.read_schema(tmp_path / "out.parquet").metadata[b"huggingface"] == b"{not json"


def test_parquet_becomes_json_value_for_value(tmp_path: Path) -> None:
    table = pa.table(
        {
            "s": ["ü", None],
            "i": pa.array([2**63 - 1, -1], pa.int64()),
            "u": pa.array([2**64 - 1, 0], pa.uint64()),
            "f": pa.array([0.1, 1e300], pa.float64()),
            "g": pa.array([0.1, 2.5], pa.float32()),
            "l": [[{"role": "user", "content": "x"}], []],
            "d": pa.array(["a", "b"]).dictionary_encode(),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    weights = write(opened(tmp_path, "a.parquet"), tmp_path / "out", [0, 1], "jsonl")
    back = [json.loads(line) for line in (tmp_path / "out").read_text(encoding="utf-8").splitlines()]
    assert back == [{**row, "weight": w} for row, w in zip(table.to_pylist(), weights, strict=True)]
    assert np.float32(back[0]["g"]) == np.float32(0.1)


@pytest.mark.parametrize(
    ("array", "named"),
    [
        (pa.array([b"x"]), "'c' is of type binary"),
        (pa.array([1], pa.timestamp("s")), "'c' is of type timestamp"),
        (pa.array([1], pa.date32()), "'c' is of type date32"),
        (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())), "'c' is of type map"),
        (pa.array([{"x": [b"y"]}]), "'c.x' is of type binary"),
        (pc.cast(pa.array([1]), pa.decimal128(20, 1)), "'c' is of type decimal128"),
    ],
)
def test_columns_that_json_cannot_hold_are_refused_by_name(tmp_path: Path, array: pa.Array, named: str) -> None:
    pq.write_table(pa.table({"text": ["a"], "c": array}), tmp_path / "a.parquet")
    with pytest.raises(UsageError, match=named.replace(".", r"\.")):
        check_writable(opened(tmp_path, "a.parquet"), "jsonl", "weight")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_nan_on_its_way_to_json_is_refused_by_column_and_row(tmp_path: Path, value: float) -> None:
    pq.write_table(pa.table({"text": ["a", "b"], "x": [[1.0], [value]]}), tmp_path / "a.parquet")
    with pytest.raises(TitheError, match=r"a\.parquet, row 1: column 'x' holds NaN or an infinity"):
        write(opened(tmp_path, "a.parquet"), tmp_path / "out", [0, 1], "jsonl")


def to_parquet(tmp_path: Path, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    write(opened(tmp_path, "a.jsonl"), tmp_path / "out.parquet", list(range(len(records))), "parquet")
    return pq.read_table(tmp_path / "out.parquet").drop_columns(["weight"]).to_pylist()


def test_json_becomes_parquet_value_for_value(tmp_path: Path) -> None:
    records = [
        {"messages": [{"role": "user", "content": "é"}], "n": 1, "b": True},
        {"messages": [], "n": 2.5, "b": None, "new": {"a": None}},
        {"messages": None, "n": 3, "new": {"a": [1]}},
    ]
    assert to_parquet(tmp_path, records) == [
        {"messages": [{"role": "user", "content": "é"}], "n": 1, "b": True, "new": None},
        {"messages": [], "n": 2.5, "b": None, "new": {"a": None}},
        {"messages": None, "n": 3, "b": None, "new": {"a": [1]}},
    ]


@pytest.mark.parametrize(
    "values",
    [
        ["a", 1],
        [1, True],
        [2**63, 1],
        [2**70],
        [2**53 + 1, 0.5],
        [{"x": 1}, [1]],
        [{"x": "a"}, {"x": 1}],
        ["a", {"x": 1}],
    ],
)
def test_json_that_parquet_cannot_hold_is_refused_by_column(tmp_path: Path, values: list[Any]) -> None:
    with pytest.raises(TitheError, match=r"a\.jsonl, line \d+: cannot become Parquet without loss \(.*write \.jsonl"):
        to_parquet(tmp_path, [{"text": "t", "c": value} for value in values])


def test_kinds_that_differ_far_apart_are_found_too(tmp_path: Path) -> None:
    with pytest.raises(TitheError, match="cannot become Parquet without loss"):
        to_parquet(tmp_path, [{"c": 1}] * 9000 + [{"c": "text"}])


def test_an_empty_object_column_is_refused_since_parquet_has_none(tmp_path: Path) -> None:
    with pytest.raises(TitheError, match="cannot become Parquet"):
        to_parquet(tmp_path, [{"text": "t", "meta": {}}])


def test_formats_mix_into_jsonl_but_not_into_parquet(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"i": 0}\n')
    pq.write_table(pa.table({"i": [1]}), tmp_path / "b.parquet")
    corpus = opened(tmp_path, "a.jsonl", "b.parquet")
    write(corpus, tmp_path / "out", [0, 1], "jsonl")
    assert [json.loads(line)["i"] for line in (tmp_path / "out").read_text().splitlines()] == [0, 1]
    with pytest.raises(UsageError, match="inputs are Parquet and JSONL"):
        check_writable(corpus, "parquet", "weight")


def test_a_weight_that_is_there_already_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"weight": 1}\n')
    with pytest.raises(UsageError, match=r"a\.jsonl: has a field 'weight' already; .*--weight-column"):
        check_writable(opened(tmp_path, "a.jsonl"), "jsonl", "weight")
    (tmp_path / "b.jsonl").write_text('{"i": 1}\n' * 200 + '{"weight": 1}\n')
    for format in ("jsonl", "parquet"):
        with pytest.raises(TitheError, match=r"b\.jsonl, line 201: has a field 'weight' already"):
            write(opened(tmp_path, "b.jsonl"), tmp_path / "out", [0, 200], format)
