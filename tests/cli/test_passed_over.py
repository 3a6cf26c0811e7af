"""What lies in an input folder and is not read is counted and named."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.conftest import Tithe, make_records, write_jsonl
from tests.stores import Bucket

BUDGET = ("-o", "s.jsonl", "--size", "10")


def told(tithe: Tithe, *arguments: object) -> list[str]:
    """What a selection said of what it passed over."""
    ran = tithe("select", *arguments, *BUDGET, "--force")
    assert ran.code == 0, ran.err
    return [line for line in ran.err.splitlines() if line.startswith("passed over")]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    write_jsonl(tmp_path / "data" / "a.jsonl", make_records(50))
    return tmp_path / "data"


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}\n")


def test_a_folder_of_records_alone_is_told_nothing(tithe: Tithe, data: Path) -> None:
    touch(data, "b.ndjson")
    (data / "b.ndjson").write_text('{"text": "b"}\n')
    assert told(tithe, "data") == []


def test_files_of_other_kinds_are_named(tithe: Tithe, data: Path) -> None:
    touch(data, "b.json", "c.json.gz", "sub/d.csv", "manifest.json")
    assert told(tithe, "data") == ["passed over 4 files in data: b.json, c.json.gz, manifest.json, sub/d.csv"]
    assert told(tithe, "data/a.jsonl") == []


def test_hidden_files_are_counted(tithe: Tithe, data: Path) -> None:
    touch(data, ".DS_Store", ".cache/x.jsonl", ".cache/y.jsonl", "sub/.z.jsonl")
    assert told(tithe, "data") == ["passed over 3 files in data: 3 hidden"]
    touch(data, "b.json")
    assert told(tithe, "data") == ["passed over 4 files in data: b.json; 3 hidden"]


def test_the_line_is_short_however_many_there_are_and_whatever_they_are_called(tithe: Tithe, data: Path) -> None:
    touch(data, *(f"{i:04}.json" for i in range(1200)))
    assert told(tithe, "data") == [
        "passed over 1,200 files in data: "
        "0000.json, 0001.json, 0002.json, 0003.json, 0004.json, 0005.json, 0006.json, 0007.json and 1,192 more"
    ]
    touch(data, "\x1b[31m" + "x" * 200)
    (line,) = told(tithe, "data")
    assert "\x1b" not in line
    assert len(line) < 300


def test_what_is_no_file_is_named_with_what_it_is_and_never_opened(tithe: Tithe, data: Path) -> None:
    os.mkfifo(data / "b.jsonl")
    (data / "c.jsonl").symlink_to("nothing")
    (data / "d.jsonl").symlink_to("d.jsonl")
    (data / "e").symlink_to("..")
    with socket.socket(socket.AF_UNIX) as listening:
        here = Path.cwd()
        os.chdir(data)  # names of sockets are short
        listening.bind("f.jsonl")
        os.chdir(here)
        expected = [
            "e (a link to a folder), b.jsonl (a pipe), c.jsonl (a link to nothing), d.jsonl (a link that never ends), "
            "f.jsonl (a socket)"
        ]
        assert told(tithe, "data") == [f"passed over 5 files in data: {named}" for named in expected]
        assert told(tithe, "data", "--format", "jsonl") == [
            f"passed over 5 files in data: {named}" for named in expected
        ]


def test_what_fits_a_glob_and_is_no_file_is_named(tithe: Tithe, data: Path) -> None:
    (data / "b.jsonl").mkdir()
    (data / "c.jsonl").symlink_to("nothing")
    assert told(tithe, "data/*.jsonl") == [
        "passed over 2 files in data/*.jsonl: data/b.jsonl (a folder), data/c.jsonl (a link to nothing)"
    ]
    ran = tithe("select", "data/[bc].jsonl", *BUDGET, "--force")
    assert ran.code == 1
    assert ran.err == (
        "tithe: data/[bc].jsonl: no file matches (passed over 2 files in data/[bc].jsonl: data/b.jsonl (a folder), "
        "data/c.jsonl (a link to nothing))\n"
    )


def test_a_folder_with_nothing_else_is_an_error_that_names_it(tithe: Tithe, tmp_path: Path) -> None:
    touch(tmp_path / "data", "b.json", "c.csv")
    ran = tithe("select", "data", *BUDGET)
    assert (ran.code, ran.err) == (
        1,
        "tithe: data: the folder holds no .jsonl or .ndjson or .parquet or .pq files; --format reads others "
        "(passed over 2 files in data: b.json, c.csv)\n",
    )


def test_every_command_that_reads_a_corpus_says_it(tithe: Tithe, data: Path) -> None:
    touch(data, "b.json")
    line = "passed over 1 file in data: b.json"
    for arguments in (
        ("select", "data", *BUDGET),
        ("select", "data", *BUDGET, "--dry-run"),
        ("centers", "data", "-o", "c.jsonl"),
        ("replay", "s.jsonl.manifest.json"),
    ):
        ran = tithe(*arguments)
        assert ran.code == 0, ran.err
        assert ran.err.splitlines().count(line) == 1, ran.err


def test_objects_of_a_store_are_named_alike(tithe: Tithe, bucket: Bucket, data: Path) -> None:
    content = (data / "a.jsonl").read_bytes()
    for key in ("data/a.jsonl", "data/b.json", "data/sub/c.json.gz", "data/.hidden", "data/.git/x.jsonl"):
        bucket.put(key, content)
    assert told(tithe, bucket.url("data")) == [
        f"passed over 4 files in {bucket.url('data')}: b.json, sub/c.json.gz; 2 hidden"
    ]
    assert told(tithe, bucket.url("data/*.jsonl")) == []
    url = bucket.url("data/[as]*")
    assert told(tithe, url) == [f"passed over 1 file in {url}: data/sub (a folder)"]
