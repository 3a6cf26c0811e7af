"""Readers: every record once, in order, as it is; whatever is broken is named."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tithe.selection.corpus import compression as compression_module
from tithe.selection.corpus.batch import BadRecord
from tithe.selection.corpus.corpus import Corpus, open_corpus
from tithe.selection.corpus.jsonl import JsonlBatch
from tithe.selection.errors import TitheError, UsageError


def zstd(content: bytes) -> bytes:
    return pa.Codec("zstd").compress(content, asbytes=True)


COMPRESS: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".zst": zstd}


def lines_of(corpus: Corpus) -> list[bytes]:
    return [line for batch in corpus.batches(None) if isinstance(batch, JsonlBatch) for line in batch.lines]


def values_of(corpus: Corpus, name: str) -> list[Any]:
    return [record[name] for batch in corpus.batches((name,)) for record in batch.records() if isinstance(record, dict)]


def opened(tmp_path: Path, *names: str, **options: Any) -> Corpus:
    return open_corpus([str(tmp_path / name) for name in names], spool=tmp_path, **options)


@pytest.mark.parametrize("suffix", COMPRESS)
def test_jsonl_reads_the_same_whatever_the_compression(tmp_path: Path, suffix: str) -> None:
    content = b"".join(b'{"i": %d}\n' % i for i in range(20_000))
    (tmp_path / f"a.jsonl{suffix}").write_bytes(COMPRESS[suffix](content))
    corpus = opened(tmp_path, f"a.jsonl{suffix}")
    assert values_of(corpus, "i") == list(range(20_000))
    assert corpus.row_count() == 20_000


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".zst"])
def test_members_one_after_the_other_are_one_file(tmp_path: Path, suffix: str) -> None:
    parts = [b'{"i": 0}\n{"i"', b": 1}\n", b'{"i": 2}\n']
    (tmp_path / f"a.jsonl{suffix}").write_bytes(b"".join(map(COMPRESS[suffix], parts)))
    assert values_of(opened(tmp_path, f"a.jsonl{suffix}"), "i") == [0, 1, 2]


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".zst"])
@pytest.mark.parametrize("left", [0, 1, 5, 0.5, -9, -4, -1], ids=str)
def test_a_truncated_file_always_fails(tmp_path: Path, suffix: str, left: float) -> None:
    whole = COMPRESS[suffix](b"".join(b'{"i": "%s"}\n' % os.urandom(20).hex().encode() for _ in range(2000)))
    cut = int(len(whole) * left) if isinstance(left, float) else left
    (tmp_path / f"a.jsonl{suffix}").write_bytes(whole[:cut])
    with pytest.raises(TitheError, match=rf"a\.jsonl{suffix}: .*truncated"):
        lines_of(opened(tmp_path, f"a.jsonl{suffix}"))


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".zst"])
def test_no_cut_goes_unnoticed_but_one_between_two_members(tmp_path: Path, suffix: str) -> None:
    first, second = COMPRESS[suffix](b'{"i": 1}\n' * 50), COMPRESS[suffix](b'{"i": 2}\n' * 50)
    accepted = []
    for cut in range(len(first + second)):
        (tmp_path / f"a.jsonl{suffix}").write_bytes((first + second)[:cut])
        try:
            lines_of(opened(tmp_path, f"a.jsonl{suffix}"))
        except TitheError:
            continue
        accepted.append(cut)
    assert accepted == [len(first)]


def test_bytes_after_the_end_of_a_gzip_file_fail(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"i": 0}\n') + b"garbage")
    with pytest.raises(TitheError, match="damaged"):
        lines_of(opened(tmp_path, "a.jsonl.gz"))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(
    records=st.lists(st.dictionaries(st.text(), json_values, max_size=4), max_size=30),
    ends=st.lists(st.sampled_from([b"\n", b"\r\n", b"\n\n", b"\n \t\r\n"]), min_size=1),
    bom=st.booleans(),
    final=st.booleans(),
    chunk=st.integers(1, 200),
)
def test_no_record_is_lost_doubled_or_changed(
    tmp_path_factory: pytest.TempPathFactory, records: list, ends: list[bytes], bom: bool, final: bool, chunk: int
) -> None:
    lines = [json.dumps(record, ensure_ascii=False).encode("utf-8", "surrogatepass") for record in records]
    content = b"\xef\xbb\xbf" if bom else b""
    for i, line in enumerate(lines):
        content += line + (ends[i % len(ends)] if final or i + 1 < len(lines) else b"")
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "a.jsonl").write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compression_module, "CHUNK", chunk)
        corpus = opened(folder, "a.jsonl")
        assert lines_of(corpus) == lines
        rows = [row for batch in corpus.batches(()) for row in batch.rows.tolist()]
    assert rows == list(range(len(lines)))


any_line = st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"")) | st.sampled_from(
    [
        b"",
        b" ",
        b"\r",
        b"\t\r",
        b"\x0b",
        b"\x0c\r",
        b"\xef\xbb\xbf",
        b"\xef\xbb\xbf{}",
        b"{}\r\r",
        b"\x85",
        b"\xe2\x80\xa8",
        b"\0",
    ]
)


@settings(max_examples=150, deadline=None)
@given(
    lines=st.lists(any_line, max_size=20),
    suffix=st.sampled_from(list(COMPRESS)),
    chunk=st.integers(1, 40),
    cuts=st.lists(st.integers(0, 200), max_size=3),
)
def test_any_bytes_come_as_their_lines_that_are_not_blank_with_the_lines_numbers(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], suffix: str, chunk: int, cuts: list[int]
) -> None:
    content = b"\n".join(lines)
    expected = []
    for number, line in enumerate(lines, 1):
        kept = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        if kept.strip(b" \t\r\x0b\x0c"):
            expected.append((kept.rstrip(b"\r"), f"line {number}"))
    ends = sorted({min(cut, len(content)) for cut in cuts} | {len(content)})
    members = [content[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    folder = tmp_path_factory.mktemp("corpus")
    (folder / f"a.jsonl{suffix}").write_bytes(b"".join(map(COMPRESS[suffix], members)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compression_module, "CHUNK", chunk)
        corpus = opened(folder, f"a.jsonl{suffix}")
        batches = [batch for batch in corpus.batches(None) if isinstance(batch, JsonlBatch)]
        found = [(batch.lines[i], batch.place(i).rpartition(", ")[2]) for batch in batches for i in range(len(batch))]
        assert found == expected
        assert corpus.row_count() == len(expected)
        for row in range(len(expected)):
            assert corpus.place(row).endswith(f", {expected[row][1]}")


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_what_is_taken_is_what_was_read(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("corpus")
    lines = data.draw(st.lists(any_line, max_size=15))
    values = data.draw(st.lists(st.lists(st.text(max_size=3) | st.none(), max_size=3) | st.none(), max_size=30))
    suffix = data.draw(st.sampled_from(list(COMPRESS)))
    (folder / f"a.jsonl{suffix}").write_bytes(COMPRESS[suffix](b"\n".join(lines)))
    pq.write_table(
        pa.table({"v": pa.array(values, pa.list_(pa.string()))}),
        folder / "b.parquet",
        row_group_size=data.draw(st.integers(1, 9)),
        use_dictionary=False,  # with one, Arrow writes empty pages, on which it loses the row of a list
        data_page_size=data.draw(st.sampled_from([1, 1 << 20])),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compression_module, "CHUNK", data.draw(st.integers(1, 40)))
        corpus = opened(folder, f"a.jsonl{suffix}", "b.parquet")
        read = {
            row: (record, batch.place(i))
            for batch in corpus.batches(None)
            for i, (row, record) in enumerate(zip(batch.rows.tolist(), batch.records(), strict=True))
        }
        assert sorted(read) == list(range(corpus.row_count()))
        rows = np.array(sorted(data.draw(st.sets(st.sampled_from(sorted(read))))) if read else [], np.int64)
        taken = {
            row: (record, batch.place(i))
            for batch in corpus.take(rows, None)
            for i, (row, record) in enumerate(zip(batch.rows.tolist(), batch.records(), strict=True))
        }
    assert taken == {row: read[row] for row in rows.tolist()}


def test_places_name_the_physical_line_and_count_blank_ones(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'\n{"i": 0}\n\n   \n{"i": 1}\nnot json\n')
    corpus = opened(tmp_path, "a.jsonl")
    (batch,) = corpus.batches(None)
    assert [batch.place(i).rpartition(", ")[2] for i in range(3)] == ["line 2", "line 5", "line 6"]
    assert dict(batch.invalid()).keys() == {2}
    assert corpus.place(1).endswith("a.jsonl, line 5")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"a": 1', "invalid JSON"),
        (b'{"a": 1} {"b": 2}', "invalid JSON"),
        (b"[1, 2]", "not a JSON object but a list"),
        (b'"text"', "not a JSON object but a str"),
        (b'{"a": NaN}', "NaN is not a JSON value"),
        (b'{"a": -Infinity}', "-Infinity is not a JSON value"),
        (b'{"a": "\xff"}', "invalid UTF-8 at byte 8"),
        (b'{"a": "\xed\xa0\x80"}', "invalid UTF-8"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "invalid JSON"),
        (b"\x00", "invalid JSON"),
    ],
)
def test_bad_lines_are_bad_records_with_a_reason(tmp_path: Path, line: bytes, reason: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"a": 0}\n' + line + b'\n{"a": 2}\n')
    (batch,) = opened(tmp_path, "a.jsonl").batches(None)
    (found,) = batch.invalid().items()
    assert found[0] == 1
    assert reason in found[1]
    assert [record["a"] for record in batch.records() if isinstance(record, dict)] == [0, 2]


def test_a_lone_surrogate_is_a_record_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"a": "\\ud800"}\n')
    (batch,) = opened(tmp_path, "a.jsonl").batches(None)
    assert not batch.invalid()


@pytest.fixture
def table() -> pa.Table:
    return pa.table(
        {
            "text": [f"text {i}" for i in range(25_000)],
            "a.b": pa.array(range(25_000)),
            "nested": [{"x": i, "y": [i, i + 1]} for i in range(25_000)],
        }
    )


def test_parquet_reads_only_the_columns_asked_for(tmp_path: Path, table: pa.Table) -> None:
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=9000)
    corpus = opened(tmp_path, "a.parquet")
    assert values_of(corpus, "a.b") == list(range(25_000))
    first = next(iter(corpus.batches(("nested",))))
    assert first.records()[3] == {"nested": {"x": 3, "y": [3, 4]}}
    assert sum(len(batch) for batch in corpus.batches(())) == 25_000
    assert corpus.known_rows == 25_000


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".bz2"])
def test_compressed_parquet_reads_like_plain(tmp_path: Path, table: pa.Table, suffix: str) -> None:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    (tmp_path / f"a.parquet{suffix}").write_bytes(COMPRESS[suffix](sink.getvalue()))
    assert values_of(opened(tmp_path, f"a.parquet{suffix}"), "text") == table["text"].to_pylist()


@pytest.mark.parametrize("at", [0.0, 0.3, 0.6, 0.999])
def test_truncated_or_damaged_parquet_fails(tmp_path: Path, table: pa.Table, at: float) -> None:
    pq.write_table(table, tmp_path / "a.parquet", write_page_checksum=True)
    content = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(content[: int(at * len(content))])
    with pytest.raises(TitheError, match=r"a\.parquet: .*(truncated|empty)"):
        values_of(opened(tmp_path, "a.parquet"), "text")


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_take_gives_the_rows_asked_for_over_files_and_formats(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("corpus")
    sizes = data.draw(st.lists(st.integers(0, 40), min_size=1, max_size=4))
    start, names = 0, []
    for number, size in enumerate(sizes):
        values = list(range(start, start + size))
        start += size
        if data.draw(st.booleans()):
            names.append(f"{number}.parquet")
            pq.write_table(
                pa.table({"i": pa.array(values, pa.int64())}),
                folder / names[-1],
                row_group_size=data.draw(st.integers(1, 9)),
            )
        else:
            names.append(f"{number}.jsonl")
            (folder / names[-1]).write_text("".join(f'{{"i": {value}}}\n' for value in values))
    corpus = opened(folder, *names)
    assert values_of(corpus, "i") == list(range(start))
    assert corpus.file_rows() == sizes
    wanted = np.array(sorted(data.draw(st.sets(st.integers(0, max(start - 1, 0)), max_size=start))), np.int64)
    batches = list(corpus.take(wanted, None))
    taken = [record["i"] for batch in batches for record in batch.records() if isinstance(record, dict)]
    assert taken == wanted.tolist() == [row for batch in batches for row in batch.rows.tolist()]
    files, rows = corpus.locate(wanted)
    starts = np.cumsum([0, *sizes])
    np.testing.assert_array_equal(starts[files] + rows, wanted)


def test_folders_and_globs_are_sorted_and_hidden_or_foreign_files_passed_over(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "b").mkdir(parents=True)
    (data / ".cache").mkdir()
    for name in ("z.jsonl", "b/a.jsonl", "a.ndjson", "README.md", ".hidden.jsonl", ".cache/x.jsonl"):
        (data / name).write_text('{"text": "x"}\n')
    names = [os.path.relpath(str(file.path), tmp_path) for file in opened(tmp_path, "data").files]
    assert names == ["data/a.ndjson", "data/b/a.jsonl", "data/z.jsonl"]
    names = [
        os.path.relpath(str(file.path), tmp_path) for file in opened(tmp_path, "data/z.jsonl", "data/b/*.jsonl").files
    ]
    assert names == ["data/z.jsonl", "data/b/a.jsonl"]


def test_a_name_with_magic_characters_that_exists_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "a[1].jsonl").write_text('{"text": "x"}\n')
    assert len(opened(tmp_path, "a[1].jsonl").files) == 1


def test_standard_input_is_read_once_and_again(tmp_path: Path) -> None:
    corpus = open_corpus(["-"], spool=tmp_path, stdin=io.BytesIO(b'{"i": 0}\n{"i": 1}'))
    assert values_of(corpus, "i") == values_of(corpus, "i") == [0, 1]
    assert corpus.place(1) == "-, line 2"


@pytest.mark.parametrize(
    ("names", "options", "error", "message"),
    [
        (["no.jsonl"], {}, TitheError, "no.jsonl: no such file"),
        (["*.nothing"], {}, TitheError, "no file matches"),
        (["empty"], {}, TitheError, "the folder holds no"),
        (["a.txt"], {}, UsageError, "the suffix names no format"),
        (["a.jsonl", "./a.jsonl"], {}, UsageError, "given twice"),
        (["a.jsonl", "link.jsonl"], {}, UsageError, "given twice"),
    ],
)
def test_inputs_that_cannot_be_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], options: dict, error: type, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.jsonl").write_text('{"text": "x"}\n')
    Path("a.txt").write_text('{"text": "x"}\n')
    Path("link.jsonl").symlink_to("a.jsonl")
    Path("empty").mkdir()
    with pytest.raises(error, match=message):
        open_corpus(names, spool=tmp_path, **options)


def test_format_overrides_the_suffix(tmp_path: Path) -> None:
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b'{"i": 4}\n'))
    assert values_of(opened(tmp_path, "a.txt.gz", format="jsonl"), "i") == [4]


def test_a_file_that_changes_or_goes_during_the_run_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"i": 0}\n')
    corpus = opened(tmp_path, "a.jsonl")
    values_of(corpus, "i")
    path.write_text('{"i": 0}\n{"i": 1}\n')
    with pytest.raises(TitheError, match=r"a\.jsonl: changed during the run"):
        values_of(corpus, "i")
    path.unlink()
    with pytest.raises(TitheError, match=r"a\.jsonl: disappeared"):
        values_of(corpus, "i")


def test_parquet_files_with_different_columns_are_refused_by_name(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a"], "n": [1]}), tmp_path / "a.parquet")
    for other, message in (
        (pa.table({"text": ["b"]}), "has no column 'n'"),
        (pa.table({"text": ["b"], "n": [1], "m": [2]}), "has a column 'm'"),
        (pa.table({"text": ["b"], "n": [1.5]}), "column 'n' is"),
        (pa.table({"n": [1], "text": ["b"]}), "another order"),
    ):
        pq.write_table(other, tmp_path / "b.parquet")
        with pytest.raises(TitheError, match=message):
            opened(tmp_path, "a.parquet", "b.parquet")


def test_a_damaged_page_is_noticed_where_the_file_has_checksums(tmp_path: Path, table: pa.Table) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, compression="none", use_dictionary=False, write_page_checksum=True)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"text 20000", b"text 2OOOO"))
    with pytest.raises(TitheError, match=r"a\.parquet: .*damaged"):
        values_of(opened(tmp_path, "a.parquet"), "text")


def not_utf8() -> pa.Array:
    good = pa.array([b"\xff\xfe", b"fine"])
    return pa.Array.from_buffers(pa.string(), 2, good.buffers())


def test_parquet_strings_that_are_no_utf8_make_bad_records(tmp_path: Path) -> None:
    pq.write_table(pa.table({"i": [0, 1], "text": not_utf8()}), tmp_path / "a.parquet")
    (batch,) = opened(tmp_path, "a.parquet").batches(None)
    bad, good = batch.records()
    assert bad == BadRecord("invalid UTF-8 in column 'text'")
    assert good == {"i": 1, "text": "fine"}


def test_long_records_come_in_smaller_batches(tmp_path: Path) -> None:
    own = pa.table({"text": [f"{i:06}" * 5000 for i in range(3000)]})
    shared = pa.table({"text": ["the same prompt" * 2000] * 3000})
    pq.write_table(own, tmp_path / "own.parquet", use_dictionary=False)
    pq.write_table(shared, tmp_path / "shared.parquet")
    for name in ("own.parquet", "shared.parquet"):
        corpus = opened(tmp_path, name)
        batches = [*corpus.batches(None), *corpus.take(np.arange(3000), None)]
        assert sum(map(len, batches)) == 6000
        assert max(batch.column("text").nbytes for batch in batches) < 40e6


def test_rows_are_taken_from_types_that_arrow_takes_nothing_from(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": pa.array(["a", "b", "c"], pa.string_view())}), tmp_path / "a.parquet")
    (batch,) = opened(tmp_path, "a.parquet").take(np.array([0, 2]), None)
    assert batch.records() == [{"text": "a"}, {"text": "c"}]
