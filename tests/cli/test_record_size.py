"""A record may be so large and no larger, whatever it is packed in; and so may the memory that finds it out."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import Tithe, make_records, read_jsonl, write_jsonl
from tests.stores import Bucket
from tithe.embedders.registry import make_encoder
from tithe.selection.corpus import compression as compression_module
from tithe.selection.corpus.corpus import Corpus, open_corpus
from tithe.selection.corpus.partitions import cut
from tithe.selection.embedding import encode
from tithe.selection.engine.executor import InProcess
from tithe.selection.errors import TitheError
from tithe.selection.options.options import Options
from tithe.selection.pipeline import select

SMALL = make_records(60)
LARGE = {"id": 60, "text": "a" * 5000}
"""Larger than LIMIT."""
LIMIT = ("--max-record-size", "4k")
BUDGET = ("-o", "s.jsonl", "--size", "20")
SAID = "is larger than 4.0 KiB; --max-record-size allows more"

# The command, and the memory that it took at the most.
MEASURED = """
import sys
from tithe.cli.main import main
from tithe.selection.engine.stages import peak_memory
try:
    main()
finally:
    print(peak_memory() >> 20)
"""


def lines(*records: dict) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


CONTENT = lines(*SMALL[:30], LARGE, *SMALL[30:])


def make_parquet(path: Path, records: list[dict], **options: Any) -> Path:
    pq.write_table(pa.Table.from_pylist(records), path, **options)
    return path


@pytest.fixture(
    params=["jsonl", "jsonl.gz", "jsonl.zst", "parquet", "parquet without dictionary", "standard input", "store"]
)
def corpus(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, bytes, str]:
    """What names the corpus, what is on standard input, and where the large record is."""
    kind = request.param
    if kind.startswith("parquet"):
        make_parquet(
            tmp_path / "c.parquet", [*SMALL[:30], {**SMALL[0], **LARGE}, *SMALL[30:]], use_dictionary=kind == "parquet"
        )
        return "c.parquet", b"", "c.parquet, row 30"
    if kind == "standard input":
        return "-", CONTENT, "-, line 31"
    if kind == "store":
        bucket: Bucket = request.getfixturevalue("bucket")
        bucket.put("c.jsonl", CONTENT)
        return bucket.url("c.jsonl"), b"", f"{bucket.url('c.jsonl')}, line 31"
    packed = {
        "jsonl": bytes,
        "jsonl.gz": gzip.compress,
        "jsonl.zst": lambda c: pa.Codec("zstd").compress(c, asbytes=True),
    }
    (tmp_path / f"c.{kind}").write_bytes(packed[kind](CONTENT))
    return f"c.{kind}", b"", f"c.{kind}, line 31"


def test_a_record_that_is_too_large_is_named_with_the_option_that_allows_it(
    tithe: Tithe, corpus: tuple[str, bytes, str]
) -> None:
    name, stdin, place = corpus
    ran = tithe("select", name, *BUDGET, *LIMIT, stdin=stdin)
    assert (ran.code, ran.err.splitlines()[-1]) == (
        1,
        f"tithe: {place}: {SAID} (--on-bad-record skip leaves such records out)",
    )
    ran = tithe("select", name, *BUDGET, "--max-record-size", "6KB", stdin=stdin)
    assert ran.code == 0, ran.err


def test_or_it_is_left_out_like_any_bad_record(tithe: Tithe, corpus: tuple[str, bytes, str], tmp_path: Path) -> None:
    name, stdin, place = corpus
    ran = tithe("select", name, "-o", "s.jsonl", "--size", "60", *LIMIT, "--on-bad-record", "skip", stdin=stdin)
    assert (ran.code, f"left out 1 bad one, the first at {place}: {SAID}" in ran.err) == (0, True), ran.err
    assert [record["id"] for record in read_jsonl(tmp_path / "s.jsonl")] == [record["id"] for record in SMALL]
    rows = pq.read_table(tmp_path / "s.jsonl.rows.parquet")["row"].to_pylist()
    assert rows == [*range(30), *range(31, 61)]


def test_a_record_whose_vector_is_read_is_measured_as_well(tithe: Tithe, tmp_path: Path) -> None:
    records = [{"id": i, "v": [1.0, float(i)], "text": "x"} for i in range(40)]
    records[20]["text"] = "x" * 9000
    write_jsonl(tmp_path / "c.jsonl", records)
    arguments = (*BUDGET, *LIMIT, "--encoder", "column:v")
    assert f"c.jsonl, line 21: {SAID}" in tithe("select", "c.jsonl", *arguments).err
    assert tithe("select", "c.jsonl", *arguments, "--on-bad-record", "skip").code == 0
    make_parquet(tmp_path / "c.parquet", [{"v": [1.0] * (9 if i != 20 else 900)} for i in range(40)])
    ran = tithe("select", "c.parquet", "-o", "s.parquet", *LIMIT, "--encoder", "column:v")
    assert f"c.parquet, row 20: {SAID}" in ran.err


@pytest.mark.parametrize("chunk", [7, 64, 1 << 20])
def test_lines_are_measured_wherever_the_pieces_end_that_they_are_read_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(compression_module, "CHUNK", chunk)
    kept = [b'{"i": %d}' % i for i in range(9)]
    too_long, blank = b'{"i": "' + b"x" * 40 + b'"}', b" " * 50
    content = [kept[0], too_long, kept[1], blank, kept[2], b" " * 40 + b"{}", too_long, too_long, kept[3], b"", kept[4]]
    for end, last in ((b"\n", b"\n"), (b"\n", b""), (b"\r\n", b"")):
        (tmp_path / "c.jsonl").write_bytes(end.join(content) + last)
        corpus = open_corpus([str(tmp_path / "c.jsonl")], max_record_size=20, spool=tmp_path)
        found = [
            (batch.place(i).rpartition(" ")[2], isinstance(record, dict))
            for batch in corpus.batches(None)
            for i, record in enumerate(batch.records())
        ]
        # Blank lines are no records, however long.
        assert found == [
            ("1", True), ("2", False), ("3", True), ("5", True), ("6", False), ("7", False), ("8", False), ("9", True),
            ("11", True),
        ]  # fmt: skip
        taken = [*corpus.take(np.array([0, 2, 7]), None)]
        assert [row for batch in taken for row in batch.rows.tolist()] == [0, 2, 7]
        assert all(isinstance(record, dict) for batch in taken for record in batch.records())


def test_parts_of_a_file_name_the_line_too(tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_bytes(CONTENT)
    for policy in ("fail", "skip"):
        options = Options(
            inputs=(str(tmp_path / "c.jsonl"),), output=tmp_path / "s.jsonl", work_dir=tmp_path / "w",
            size=60, max_record_size=4096, on_bad_record=policy,
        )  # fmt: skip
        if policy == "fail":
            with pytest.raises(TitheError, match=rf"c\.jsonl, line 31: {SAID}"):
                select(options, make_encoder("lexical"), executor=InProcess(1500))
        else:
            (made,) = select(options, make_encoder("lexical"), executor=InProcess(1500))
            assert made.manifest["bad_records"]["count"] == 1
            assert [record["id"] for record in read_jsonl(tmp_path / "s.jsonl")] == [r["id"] for r in SMALL]


def test_the_limit_is_an_option_like_any_other(tithe: Tithe, tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_bytes(CONTENT)
    (tmp_path / "t.toml").write_text('max-record-size = "4KiB"\n')
    assert SAID in tithe("select", "c.jsonl", *BUDGET, "--config", "t.toml").err
    assert SAID in tithe("centers", "c.jsonl", "-o", "x.jsonl", "--config", "t.toml").err
    assert SAID in tithe("select", "c.jsonl", "--dry-run", *LIMIT).err
    (tmp_path / "t.toml").write_text("max-record-size = 4096\non-bad-record = 'skip'\n")
    assert tithe("select", "c.jsonl", *BUDGET, "--config", "t.toml").code == 0
    assert json.loads((tmp_path / "s.jsonl.manifest.json").read_text())["options"]["max_record_size"] == 4096
    ran = tithe("replay", "s.jsonl.manifest.json")
    assert (ran.code, ran.out.count("the same")) == (0, 3), ran.err
    assert tithe("verify", "s.jsonl.manifest.json").code == 0
    for size in ("0", "-1", "lots", "1e400", "9" * 30, "9" * 5000, "NaN", ""):
        ran = tithe("select", "c.jsonl", *BUDGET, "--max-record-size", size)
        assert (ran.code, "--max-record-size" in ran.err, "Traceback" in ran.err) == (2, True, False), size


def test_a_subset_of_records_as_large_as_allowed_can_be_read_back(tithe: Tithe, tmp_path: Path) -> None:
    records = [{"id": i, "text": "\x01" * 600 + str(i)} for i in range(30)]  # six times as long in JSON
    make_parquet(tmp_path / "c.parquet", records)
    assert tithe("select", "c.parquet", "-o", "s.jsonl", "--size", "10", "--max-record-size", "700").code == 0
    assert tithe("verify", "s.jsonl.manifest.json").code == 0


def measured(folder: Path, *arguments: object) -> tuple[int, str, int]:
    """How the command ended, what it said, and the memory it took, in MiB."""
    run = subprocess.run(
        [sys.executable, "-c", MEASURED, *map(str, arguments)], cwd=folder, capture_output=True, text=True
    )
    return run.returncode, run.stderr, int(run.stdout)


ROOM = 450
"""MiB: what the libraries take, and the limit a few times."""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peaks can be measured on Linux only")
@pytest.mark.parametrize(("suffix", "policy"), [("gz", "fail"), ("zst", "skip")])
def test_a_line_of_a_gibibyte_is_never_held(tmp_path: Path, suffix: str, policy: str) -> None:
    before, after = lines(*SMALL[:30]), lines(*SMALL[30:])
    with pa.CompressedOutputStream(str(tmp_path / f"c.jsonl.{suffix}"), "gzip" if suffix == "gz" else "zstd") as out:
        out.write(before + b'{"text": "')
        for _ in range(64):
            out.write(b"a" * (16 << 20))
        out.write(b'"}\n' + after)
    assert (tmp_path / f"c.jsonl.{suffix}").stat().st_size < 8 << 20
    code, err, memory = measured(tmp_path, "select", f"c.jsonl.{suffix}", *BUDGET, "--on-bad-record", policy)
    assert f"c.jsonl.{suffix}, line 31: is larger than 64.0 MiB; --max-record-size allows more" in err
    assert (code, memory < ROOM) == (0 if policy == "skip" else 1, True), (err, memory)


def test_the_same_records_meet_an_encoder_in_the_same_company_in_whatever_files_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encode, "_MOST_CHARACTERS", 1000)
    monkeypatch.setattr(encode, "ENCODER_BATCH", 7)
    texts = ["a" * 10 * (i % 40) for i in range(100)]
    runs = [([row], [text]) for row, text in enumerate(texts)]
    together = [(list(range(100)), texts)]
    found = [
        [
            (rows.tolist(), texts)
            for rows, texts in encode._regrouped([(np.array(rows), texts) for rows, texts in parts])
        ]
        for parts in (runs, together)
    ]
    assert found[0] == found[1]
    assert [row for rows, _ in found[0] for row in rows] == list(range(100))
    assert max(len(rows) for rows, _ in found[0]) == 7
    assert max(sum(map(len, texts)) for _, texts in found[0]) < 1000 + 400


def make_shared(path: Path, size: int, rows: int) -> Path:
    """A file of a few kilobytes, all of whose rows hold the same value of so many bytes."""
    shared = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["b" * size]))
    schema = pa.schema([pa.field("text", shared.type)])
    with pq.ParquetWriter(
        path, schema, compression="zstd", store_schema=False, dictionary_pagesize_limit=1 << 30
    ) as out:
        out.write_table(pa.table([shared], schema=schema))
    return path


@pytest.mark.parametrize("policy", ["fail", "skip"])
def test_a_value_that_rows_share_is_not_made_for_each_of_them_to_find_it_too_large(
    tithe: Tithe, tmp_path: Path, policy: str
) -> None:
    assert make_shared(tmp_path / "c.parquet", 65 << 20, 20_000).stat().st_size < 100_000
    ran = tithe("select", "c.parquet", *BUDGET, "--on-bad-record", policy)
    assert (ran.code, ran.err) == (
        1,
        "tithe: c.parquet: its row group 0 holds values of 65.0 MiB that rows share; --max-record-size allows more\n",
    )


def test_values_that_rows_share_come_few_at_a_time(tmp_path: Path) -> None:
    corpus = open_corpus([str(make_shared(tmp_path / "c.parquet", 3 << 20, 40))], spool=tmp_path)
    sizes = [batch.column("text").nbytes for batch in corpus.batches(None)]
    assert sum(sizes) > 40 * 3 << 20
    assert max(sizes) < 17 << 20


def test_the_lines_of_a_file_are_counted_without_holding_one(tmp_path: Path) -> None:
    with (tmp_path / "c.jsonl").open("wb") as out:
        out.write(b'{"text": "a"}\n{"text": "')
        out.truncate(300 << 20)  # a hole: zeros without an end
    files = open_corpus([str(tmp_path / "c.jsonl")], spool=tmp_path).files
    tracemalloc.start()
    try:
        assert len(cut(files, 1 << 20)) == 1
        assert Corpus(files).row_count() == 2
        assert tracemalloc.get_traced_memory()[1] < 200 << 20
    finally:
        tracemalloc.stop()
