"""URLs of object stores: what they stand for, what is shown of them, how they are read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.stores import Bucket, Fault
from tithe.selection.corpus.corpus import Corpus
from tithe.selection.corpus.inputs import InputFile, expand
from tithe.selection.corpus.partitions import cut
from tithe.selection.errors import TitheError, UsageError
from tithe.selection.storage.object_store import ObjectUrl, shown
from tithe.selection.storage.places import identity, open_binary, place_of, status_of

KEYS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1).map(lambda key: key.strip("/")).filter(bool)


@given(KEYS)
def test_what_is_shown_of_an_object_is_a_url_of_it_in_one_line(key: str) -> None:
    url = ObjectUrl("s3", "bucket", key, "key:secret", "region=x&token=hush")
    again = ObjectUrl.parse(str(url))
    assert (again.key, again.host, again.user, again.query) == (key, "bucket", "", "region=x")
    assert str(url).isprintable()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("data/*.jsonl", "data/*.jsonl"),
        ("s3://bucket/data/part-*.parquet", "s3://bucket/data/part-*.parquet"),
        ("s3://key:hush@bucket/d", "s3://bucket/d"),
        (
            "s3://key:hush@bucket/d?scheme=http&endpoint_override=here:1&x=hush",
            "s3://bucket/d?scheme=http&endpoint_override=here:1",
        ),
        ("s3://key:hu/sh@bucket/d", "s3://bucket/d"),
        ("gs://anonymous@bucket/d", "gs://anonymous@bucket/d"),
        ("hdfs://me@machine:8020/d", "hdfs://me@machine:8020/d"),
        ("hdfs://me:hush@machine:8020/d", "hdfs://machine:8020/d"),
        ("ftp://me:hush@machine/d?hush", "ftp://machine/d"),
        ("s3://bucket/a\nb\x1b[1m", "s3://bucket/a\\nb\\x1b[1m"),
    ],
)
def test_a_name_is_shown_without_secrets(given: str, expected: str) -> None:
    assert shown(given) == expected


@pytest.mark.parametrize(
    "url", ["s3:///key", "https://host/key", "s3://key:se/cret@bucket/x", "s3://key:se?cret@bucket/x"]
)
def test_what_names_no_object_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(UsageError) as refused:
        place_of(url)
    assert "cret" not in str(refused.value).replace("a secret in a URL", "").replace("SECRET", "")


def test_two_urls_of_one_object_are_one_file() -> None:
    one, other = place_of("s3://k:s@bucket/a%20b?region=x"), place_of("S3://bucket/a b/")
    assert identity(one) == identity(other)
    assert identity(one)[: len(identity(place_of("s3://bucket")))] == identity(place_of("s3://bucket/"))
    assert identity(one) != identity(place_of("s3://bucket/a b?endpoint_override=elsewhere"))


NAMES = (
    "a.jsonl",
    "b.jsonl",
    "x/a.jsonl",
    "x/y/a.jsonl",
    "x/y/.a.jsonl",
    ".h/a.jsonl",
    "x1/c.jsonl",
    "x-/[a].jsonl",
    "z.txt",
)


@pytest.mark.parametrize(
    "pattern", ["*.jsonl", "*/a.jsonl", "**/*.jsonl", "**/a.jsonl", "x/**/*.jsonl", "x[0-9]/*", "*/*/*", ".h/*", "**/.*", "x*/[[]a].jsonl", "x-/[a].jsonl"]
)  # fmt: skip
def test_globs_match_what_they_match_here(pattern: str, bucket: Bucket, tmp_path: Path) -> None:
    for name in NAMES:
        bucket.put(name, b"{}")
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"{}")

    def found(where: str, start: Callable[[InputFile], str]) -> list[str]:
        return [start(file) for file in expand([where], format="jsonl")]

    here = found(str(tmp_path / pattern), lambda file: Path(str(file.path)).relative_to(tmp_path).as_posix())
    there = found(bucket.url(pattern), lambda file: file.path.key if isinstance(file.path, ObjectUrl) else "")
    assert here == there != []


def test_parts_of_an_object_are_those_of_a_file(bucket: Bucket, tmp_path: Path) -> None:
    lines = "".join(json.dumps({"text": f"{i}" * (i % 50)}) + "\n" for i in range(2000)).encode()
    table = pa.table({"text": [f"{i}" for i in range(2000)]})
    (tmp_path / "c.jsonl").write_bytes(lines)
    pq.write_table(table, tmp_path / "c.parquet", row_group_size=200)
    for name in ("c.jsonl", "c.parquet"):
        bucket.put(name, (tmp_path / name).read_bytes())
        here, there = (cut(expand([where]), 5000) for where in (str(tmp_path / name), bucket.url(name)))
        assert [part.bytes for part in here] == [part.bytes for part in there]
        assert len(here) > 2
        for one, other in zip(here, there, strict=True):
            records = [
                [record for batch in part.corpus().batches(None) for record in batch.records()] for part in (one, other)
            ]
            assert records[0] == records[1] != []


def test_a_damaged_object_is_refused_as_a_damaged_file_is(bucket: Bucket) -> None:
    out = pa.BufferOutputStream()
    pq.write_table(pa.table({"text": ["a", "b"]}), out)
    content = out.getvalue().to_pybytes()
    bucket.put("c.parquet", content[:-20] + content[-12:])
    bucket.put("c.jsonl.gz", b"no gzip")
    for name in ("c.parquet", "c.jsonl.gz"):
        with pytest.raises(TitheError, match=f"{name}: .*truncated or damaged"):
            Corpus(expand([bucket.url(name)])).row_count()


def test_an_object_is_read_by_ranges(bucket: Bucket) -> None:
    content = bytes(range(256)) * 50_000
    bucket.put("x", content)
    place = place_of(bucket.url("x"))
    assert status_of(place).size == len(content)
    with open_binary(place) as file:
        file.seek(9_000_000)
        assert file.read(100) == content[9_000_000:9_000_100]
        assert file.seek(0, 2) == len(content)
        file.seek(0)
        assert file.read() == content
    with bucket.failing(Fault("GET", "/x$", 403)), open_binary(place) as file, pytest.raises(OSError) as denied:
        file.read(10)
    assert str(denied.value.strerror).startswith("access denied")
    assert denied.value.filename == bucket.url("x")


def test_keys_of_strangers_become_no_local_files(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bucket.put("d/a..%2f..%2fa\x1b[31m.jsonl", b'{"text": "x"}\n')
    (file,) = expand([bucket.url("d")])
    assert str(file.path) == bucket.url("d/a..%252f..%252fa%1B%5B31m.jsonl")
    assert Corpus([file]).row_count() == 1
    assert expand([str(file.path)]) == [file]
    assert list(tmp_path.iterdir()) == []
