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

from tithe.selection.corpus.corpus import Corpus, open_corpus
from tithe.selection.corpus.inputs import Compression, Format
from tithe.selection.errors import TitheError, UsageError
from tithe.selection.storage.own_files import OwnPath
from tithe.selection.subset.exporters.parquet import ROW_GROUP
from tithe.selection.subset.writer import check_writable, write_subset


def opened(tmp_path: Path, *names: str) -> Corpus:
    corpus = open_corpus([str(tmp_path / name) for name in names], spool=tmp_path)
    corpus.row_count()
    return corpus


def write(
    corpus: Corpus, path: Path, rows: list[int], format: Format, compression: Compression | None = None
) -> list[float]:
    weights = [1 + row / 3 for row in rows]
    check_writable(corpus, format, "weight")
    path.unlink(missing_ok=True)
    write_subset(
        corpus,
        np.array(rows),
        np.array(weights),
        path=OwnPath.of(path),
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
    ("values", "line", "reason"),
    [
        (["a", 1], 2, "column 'c': integer beside string"),
        ([1, 2, True], 3, "column 'c': true or false beside integer"),
        ([1, None, 2**63], 3, "column 'c': an integer beyond 64 bits"),
        ([-(2**70)], 1, "column 'c': an integer beyond 64 bits"),
        ([2**53 + 1, 0.5], 2, "column 'c': an integer too large for a float"),
        ([0.5, -(2**53) - 1], 2, "column 'c': an integer too large for a float"),
        ([{"x": 1}, [1]], 2, "column 'c': list beside object"),
        ([{"x": {"y": "a"}}, {"x": {"y": 1}}], 2, "column 'c.x.y': integer beside string"),
        ([[{"x": "a"}], [], [{"x": "b"}, {"x": []}]], 3, "column 'c.x': list beside string"),
        (["fine", "half \ud800"], 2, "column 'c': half a surrogate pair"),
    ],
)
def test_json_that_parquet_cannot_hold_is_refused_by_line_and_column(
    tmp_path: Path, values: list[Any], line: int, reason: str
) -> None:
    with pytest.raises(TitheError, match="cannot become Parquet without loss") as refused:
        to_parquet(tmp_path, [{"text": "t", "c": value} for value in values])
    assert f"a.jsonl, line {line}: " in str(refused.value)
    assert reason in str(refused.value)


@pytest.mark.parametrize("value", ["1e999", "[" * 200 + "]" * 200])
def test_json_beyond_a_float_or_any_sane_depth_is_refused(tmp_path: Path, value: str) -> None:
    (tmp_path / "a.jsonl").write_text(f'{{"c": {value}}}\n')
    with pytest.raises(TitheError, match=r"a\.jsonl, line 1: cannot become Parquet without loss \(column 'c': "):
        write(opened(tmp_path, "a.jsonl"), tmp_path / "out.parquet", [0], "parquet")


def test_lists_go_as_deep_in_parquet_as_its_readers_follow(tmp_path: Path) -> None:
    deepest, deeper = (json.loads("[" * n + "1" + "]" * n) for n in (49, 50))
    assert to_parquet(tmp_path, [{"a": deepest}]) == [{"a": deepest}]
    opened(tmp_path, "out.parquet")
    with pytest.raises(TitheError, match=r"column 'a': nested more than 100 levels deep"):
        to_parquet(tmp_path, [{"a": deeper}])


def test_lists_that_only_arrow_writes_too_deep_are_refused(tmp_path: Path) -> None:
    kind: pa.DataType = pa.int64()
    for _ in range(60):
        kind = pa.struct([("x", kind)])
    file = tmp_path / "in.parquet"
    pq.write_table(pa.table({"x": pa.array([None], kind)}), file)
    # Groups that are repeated instead of optional: lists of one level, as old writers made them.
    optional, repeated = (b"\x35" + number + b"\x18\x01x\x15\x02" for number in (b"\x02", b"\x04"))
    assert file.read_bytes().count(optional) == 60
    file.write_bytes(file.read_bytes().replace(optional, repeated))
    corpus = open_corpus([str(file)], spool=tmp_path)
    check_writable(corpus, "jsonl", "weight")
    with pytest.raises(UsageError, match=r"in\.parquet: column 'x': nested more than 100 levels deep"):
        check_writable(corpus, "parquet", "weight")


def same(before: Any, after: Any) -> bool:
    """Whether a value is what it was; a missing key may have become null, and an integer a float beside others."""
    if isinstance(before, dict):
        return isinstance(after, dict) and all(
            same(before.get(key), after.get(key)) for key in before.keys() | after.keys()
        )
    if isinstance(before, list):
        return isinstance(after, list) and len(before) == len(after) and all(map(same, before, after))
    if type(before) is int and type(after) is float:
        return before == int(after)
    return type(before) is type(after) and before == after


scalars = st.sampled_from([None, True, 1, 2**53, 2**60, -(2**63), 0.5, "", "ü"])
few_kinds = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "b.c", ""]), inner),
    max_leaves=4,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(["x", "y.z", ""]), few_kinds, max_size=2), min_size=1, max_size=4))
def test_json_becomes_parquet_as_it_was_or_not_at_all(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, Any]]
) -> None:
    folder = tmp_path_factory.mktemp("subset")
    try:
        back = to_parquet(folder, records)
    except TitheError as error:
        assert "cannot become Parquet without loss" in str(error)
    else:
        assert len(back) == len(records)
        assert all(map(same, records, back))


def test_records_without_any_field_keep_their_number(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{}\n{}\n")
    weights = write(opened(tmp_path, "a.jsonl"), tmp_path / "out.parquet", [0, 1], "parquet")
    assert pq.read_table(tmp_path / "out.parquet").to_pydict() == {"weight": weights}


def test_long_records_make_smaller_row_groups(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": [f"{i:05}" * 20_000 for i in range(1500)]}), tmp_path / "a.parquet")
    write(opened(tmp_path, "a.parquet"), tmp_path / "out.parquet", list(range(1500)), "parquet")
    metadata = pq.ParquetFile(tmp_path / "out.parquet").metadata
    assert metadata.num_rows == 1500
    assert metadata.num_row_groups > 1


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
    # Where nobody looks before the long work.
    (tmp_path / "b.jsonl").write_text('{"i": 1}\n' * 200 + '{"weight": 1}\n' + '{"i": 1}\n' * 5000)
    for format in ("jsonl", "parquet"):
        with pytest.raises(TitheError, match=r"b\.jsonl, line 201: has a field 'weight' already"):
            write(opened(tmp_path, "b.jsonl"), tmp_path / "out", [0, 200], format)
