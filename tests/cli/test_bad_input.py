"""Whatever is wrong ends in one clear line and the right exit code, and leaves nothing behind."""

from __future__ import annotations

import bz2
import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import Tithe, make_records, write_jsonl

GOOD = make_records(60)


def jsonl(path: str, *lines: str | bytes) -> Callable[[], None]:
    """A file with good records around the lines."""

    def make() -> None:
        encoded = [line if isinstance(line, bytes) else line.encode() for line in lines]
        good = [json.dumps(record).encode() for record in GOOD]
        Path(path).write_bytes(b"\n".join([*good[:30], *encoded, *good[30:]]) + b"\n")

    return make


def content(path: str, value: bytes) -> Callable[[], None]:
    def make() -> None:
        Path(path).write_bytes(value)

    return make


def parquet(path: str, **columns: object) -> Callable[[], None]:
    return lambda: pq.write_table(pa.table(columns), path)


def truncated_parquet() -> None:
    pq.write_table(pa.table({"text": ["a"] * 1000}), "c.parquet")
    Path("c.parquet").write_bytes(Path("c.parquet").read_bytes()[:-20])


def with_vectors(*special: object) -> Callable[[], None]:
    def make() -> None:
        rng = np.random.default_rng(0)
        records = [{"text": f"t{i}", "emb": rng.standard_normal(4).tolist()} for i in range(40)]
        records[7:7] = [{"text": "x", "emb": value} for value in special]
        pq.write_table(pa.table({"emb": pa.array([r["emb"] for r in records], pa.list_(pa.float64()))}), "c.parquet")

    return make


def npy(shape: tuple[int, ...]) -> Callable[[], None]:
    def make() -> None:
        jsonl("c.jsonl")()
        np.save("e.npy", np.ones(shape, np.float32))

    return make


def read_only() -> None:
    jsonl("c.jsonl")()
    Path("locked").mkdir(mode=0o500)


def existing() -> None:
    jsonl("c.jsonl")()
    Path("s.jsonl").write_text("precious")


BASIC = ("c.jsonl", "-o", "s.jsonl")
CASES: dict[str, tuple[Callable[[], object], tuple[str, ...], int, str]] = {
    "no such file": (lambda: None, BASIC, 1, "c.jsonl: no such file"),
    "empty file": (content("c.jsonl", b""), BASIC, 1, "c.jsonl: the input holds no records"),
    "only blank lines": (content("c.jsonl", b"\n \n"), BASIC, 1, "c.jsonl: the input holds no records"),
    "empty folder": (lambda: Path("c").mkdir(), ("c", "-o", "s.jsonl"), 1, "c: the folder holds no"),
    "invalid JSON": (jsonl("c.jsonl", '{"text": "a"'), BASIC, 1, "c.jsonl, line 31: invalid JSON"),
    "no object": (jsonl("c.jsonl", '"text"'), BASIC, 1, "c.jsonl, line 31: not a JSON object"),
    "invalid UTF-8": (jsonl("c.jsonl", b'{"text": "\xff"}'), BASIC, 1, "c.jsonl, line 31: invalid UTF-8 at byte 11"),
    "missing text": (jsonl("c.jsonl", '{"id": 7}'), BASIC, 1, "c.jsonl, line 31: 'text' is missing"),
    "null text": (jsonl("c.jsonl", '{"text": null}'), BASIC, 1, "c.jsonl, line 31: 'text' is null"),
    "truncated gzip": (content("c.jsonl.gz", gzip.compress(b'{"text": "a"}\n' * 99)[:-6]), ("c.jsonl.gz", "-o", "s.jsonl"), 1, "c.jsonl.gz: truncated or damaged"),
    "truncated gzip, bad records skipped": (content("c.jsonl.gz", gzip.compress(b'{"text": "a"}\n' * 99)[:-6]), ("c.jsonl.gz", "-o", "s.jsonl", "--on-bad-record", "skip"), 1, "c.jsonl.gz: truncated or damaged"),
    "truncated bzip2": (content("c.jsonl.bz2", bz2.compress(b'{"text": "a"}\n' * 99)[:-6]), ("c.jsonl.bz2", "-o", "s.jsonl"), 1, "c.jsonl.bz2: truncated or damaged"),
    "gzip that is none": (content("c.jsonl.gz", b'{"text": "a"}\n'), ("c.jsonl.gz", "-o", "s.jsonl"), 1, "c.jsonl.gz: truncated or damaged"),
    "truncated Parquet": (truncated_parquet, ("c.parquet", "-o", "s.parquet"), 1, "c.parquet: is no Parquet file, or is truncated"),
    "unknown suffix": (content("c.txt", b"x"), ("c.txt", "-o", "s.jsonl"), 2, "c.txt: the suffix names no format"),
    "no field is the text": (content("c.jsonl", b'{"body": "a", "x": 1}\n'), BASIC, 2, "c.jsonl: which field is the text?"),
    "text field that is not there": (jsonl("c.jsonl"), (*BASIC, "--text", "txt"), 2, "the text field 'txt' is not in c.jsonl"),
    "template that is none": (jsonl("c.jsonl"), (*BASIC, "--template", "{text!r}"), 2, "--template"),
    "text and template": (jsonl("c.jsonl"), (*BASIC, "--text", "text", "--template", "{text}"), 2, "--text and --template"),
    "NaN embedding": (with_vectors([1, float("nan"), 0, 0]), ("c.parquet", "-o", "s.parquet", "--encoder", "column:emb"), 1, "c.parquet, row 7: the embedding is not finite"),
    "infinite embedding": (with_vectors([1, float("inf"), 0, 0]), ("c.parquet", "-o", "s.parquet", "--encoder", "column:emb"), 1, "c.parquet, row 7: the embedding is not finite"),
    "embedding of another length": (with_vectors([1, 2]), ("c.parquet", "-o", "s.parquet", "--encoder", "column:emb"), 1, "c.parquet, row 7: 'emb' holds 2 numbers, the first record's 4"),
    "null embedding": (with_vectors(None), ("c.parquet", "-o", "s.parquet", "--encoder", "column:emb"), 1, "c.parquet, row 7: 'emb' is missing, null"),
    "embedding that is no list": (parquet("c.parquet", text=["a", "b"]), ("c.parquet", "-o", "s.parquet", "--encoder", "column:text"), 1, "c.parquet, row 0: 'text' is of type string"),
    "embedding field that is not there": (parquet("c.parquet", text=["a"]), ("c.parquet", "-o", "s.parquet", "--encoder", "column:emb"), 2, "--encoder column:emb: there is no field 'emb' in c.parquet, which has text"),
    "embedding of words": (content("c.jsonl", b'{"emb": [1, 2]}\n{"emb": ["a", 1]}\n'), (*BASIC, "--encoder", "column:emb"), 1, "c.jsonl, line 2: 'emb' holds something else than numbers"),
    "npy of another length": (npy((7, 4)), (*BASIC, "--encoder", "npy:e.npy"), 1, "--encoder npy:e.npy: holds 7 rows, but the corpus 60 records"),
    "npy of one dimension": (npy((60,)), (*BASIC, "--encoder", "npy:e.npy"), 1, "e.npy: an array of numbers with two dimensions"),
    "npy that is none": (content("e.npy", b"junk"), (*BASIC, "--encoder", "npy:e.npy"), 1, "e.npy: cannot be read as a .npy file"),
    "unknown encoder": (jsonl("c.jsonl"), (*BASIC, "--encoder", "lexicl"), 1, "--encoder lexicl: no such encoder; did you mean lexical?"),
    "loss that is not there": (jsonl("c.jsonl"), (*BASIC, "--loss", "column:nothing"), 1, "the loss in 'nothing' is None, not a number"),
    "loss column that is not there": (parquet("c.parquet", text=["a"]), ("c.parquet", "-o", "s.parquet", "--loss", "column:nothing"), 2, "--loss column:nothing: there is no field 'nothing' in c.parquet, which has text"),
    "unknown loss": (jsonl("c.jsonl"), (*BASIC, "--loss", "perplexity"), 2, "--loss perplexity: no such source; use none, column:NAME"),
    "output exists": (existing, BASIC, 1, "s.jsonl: exists already; --force overwrites it"),
    "output of an unknown kind": (jsonl("c.jsonl"), ("c.jsonl", "-o", "s.csv"), 2, "s.csv: the output's name must end in"),
    "output in no folder": (jsonl("c.jsonl"), ("c.jsonl", "-o", "no/s.jsonl"), 1, "no/s.jsonl: cannot write into its folder"),
    "output is the input": (jsonl("c.jsonl"), ("c.jsonl", "-o", "c.jsonl", "--force"), 2, "c.jsonl: is an input and an output"),
    "output in the input folder": (lambda: (Path("d").mkdir(), jsonl("d/c.jsonl")()), ("d", "-o", "d/s.jsonl"), 2, "d/s.jsonl: lies in the input folder d"),
    "no output": (jsonl("c.jsonl"), ("c.jsonl",), 2, "-o FILE is needed"),
    "no input": (lambda: None, ("-o", "s.jsonl"), 2, "an INPUT is needed"),
    "the same file twice": (jsonl("c.jsonl"), ("c.jsonl", "./c.jsonl", "-o", "s.jsonl"), 2, "given twice"),
    "weight clash": (content("c.jsonl", b'{"text": "a", "weight": 1}\n'), BASIC, 2, "c.jsonl: has a field 'weight' already"),
    "two budgets": (jsonl("c.jsonl"), (*BASIC, "--size", "5", "--fraction", "0.1"), 2, "--size and --fraction"),
    "a size that is no number": (jsonl("c.jsonl"), (*BASIC, "--size", "many"), 2, "'many' is not a valid integer"),
    "a lambda that is no number": (jsonl("c.jsonl"), (*BASIC, "--lambda", "lots"), 2, "'lots' is neither a number nor auto"),
    "centres that do not fit": (jsonl("c.jsonl"), (*BASIC, "--clusters", "9", "--size", "5", "--keep-centers"), 2, "centres do not fit into a budget of 5"),
    "all records bad": (content("c.jsonl", b"x\ny\n"), (*BASIC, "--on-bad-record", "skip"), 1, "none of its records (2) can be used"),
    "config with an unknown key": (lambda: (jsonl("c.jsonl")(), Path("t.toml").write_text("sise = 3")), (*BASIC, "--config", "t.toml"), 2, "t.toml: unknown key 'sise'; did you mean 'size'?"),
    "config that is no TOML": (lambda: (jsonl("c.jsonl")(), Path("t.toml").write_text("= 3")), (*BASIC, "--config", "t.toml"), 2, "t.toml: is not valid TOML"),
    "binary columns as JSON": (parquet("c.parquet", text=["a"], x=[b"b"]), ("c.parquet", "-o", "s.jsonl"), 2, "c.parquet: column 'x' is of type binary"),
    "Parquet files that differ": (lambda: (Path("d").mkdir(), parquet("d/a.parquet", text=["a"])(), parquet("d/b.parquet", text=[1])()), ("d", "-o", "s.parquet"), 1, "d/b.parquet: column 'text' is"),
}  # fmt: skip


def files(folder: Path) -> dict[Path, bytes | None]:
    """All that is in a folder, with its content."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.parametrize("case", CASES)
def test_bad_input(case: str, tithe: Tithe, tmp_path: Path) -> None:
    make, arguments, code, message = CASES[case]
    make()
    before = files(tmp_path)
    ran = tithe("select", *arguments)
    assert ran.code == code, ran.err
    last = ran.err.rstrip("\n").splitlines()[-1]
    assert message in last
    assert "Traceback" not in ran.err
    assert ran.out == ""
    assert files(tmp_path) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(tithe: Tithe) -> None:
    read_only()
    ran = tithe("select", "c.jsonl", "-o", "locked/s.jsonl")
    assert (ran.code, "cannot write into its folder" in ran.err) == (1, True)


def test_debug_shows_the_traceback(tithe: Tithe) -> None:
    ran = tithe("select", "no.jsonl", "-o", "s.jsonl", "--debug")
    assert "Traceback" in ran.err
    assert ran.err.rstrip().endswith("tithe: no.jsonl: no such file")


def test_skipped_records_are_counted_and_named(tithe: Tithe, tmp_path: Path) -> None:
    records = make_records(50)
    write_jsonl(tmp_path / "c.jsonl", records)
    with (tmp_path / "c.jsonl").open("a") as file:
        file.write("\n".join(["broken"] * 7) + "\n")
    ran = tithe("select", "c.jsonl", "-o", "s.jsonl", "--on-bad-record", "skip", "--size", "57")
    assert ran.code == 0
    assert "left out 7 bad ones, the first at c.jsonl, line 51: invalid JSON" in ran.err
    manifest = json.loads((tmp_path / "s.jsonl.manifest.json").read_text())
    assert manifest["bad_records"]["count"] == 7
    assert len(manifest["bad_records"]["first_places"]) == 5
    assert manifest["rows"], manifest["n"] == (57, 50)
    assert manifest["weights"]["count"] == 50
