"""Corpora and subsets in an object store: as if they were here."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import Tithe, make_records, write_jsonl
from tests.stores import Bucket, Fault
from tests.waiting import PATIENCE, until

BUDGET = ("--size", "60", "--clusters", "15")

OUTPUTS = ["s.parquet", "s.parquet.clusters.parquet", "s.parquet.manifest.json", "s.parquet.rows.parquet"]


def lines(records: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def parquet(records: list[dict[str, Any]]) -> bytes:
    out = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(records), out, row_group_size=100)
    return out.getvalue().to_pybytes()


def both(bucket: Bucket, folder: Path, files: dict[str, bytes]) -> None:
    """The same files in the bucket and in a folder."""
    for name, content in files.items():
        bucket.put(name, content)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


RECORDS = make_records(600)

CORPORA: dict[str, tuple[dict[str, bytes], str]] = {
    "jsonl": ({"c.jsonl": lines(RECORDS)}, "c.jsonl"),
    "jsonl.gz": ({"c.jsonl.gz": gzip.compress(lines(RECORDS))}, "c.jsonl.gz"),
    "jsonl.zst": ({"c.jsonl.zst": pa.compress(lines(RECORDS), "zstd", asbytes=True)}, "c.jsonl.zst"),
    "parquet": ({"c.parquet": parquet(RECORDS)}, "c.parquet"),
    "parquet.bz2": ({"c.parquet.bz2": bz2.compress(parquet(RECORDS))}, "c.parquet.bz2"),
    "folder": (
        {
            "data/b/1.jsonl": lines(RECORDS[:200]), "data/a.jsonl": lines(RECORDS[200:450]),
            "data/b.jsonl": lines(RECORDS[450:]), "data/.hidden/x.jsonl": b"no", "data/_SUCCESS": b"",
        },
        "data/",
    ),
    "glob": (
        {
            "data/part-1.parquet": parquet(RECORDS[:300]), "data/part-0.parquet": parquet(RECORDS[300:]),
            "data/other.parquet": b"no", "data/.part-2.parquet": b"no",
        },
        "data/part-*.parquet",
    ),
    "deep glob": (
        {"data/x/a.jsonl": lines(RECORDS[:300]), "data/a.jsonl": lines(RECORDS[300:]), "data/x/b.jsonl": b"no"},
        "data/**/a.jsonl",
    ),
    "odd names": (
        {"d/a b#%3F[1].jsonl": lines(RECORDS[:300]), "d/ä%.jsonl": lines(RECORDS[300:])},
        "d",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CORPORA)
def test_a_corpus_in_a_store_gives_the_bytes_of_one_that_lies_here(
    case: str, bucket: Bucket, tithe: Tithe, tmp_path: Path
) -> None:
    files, name = CORPORA[case]
    both(bucket, tmp_path, files)
    for number, given in enumerate((name, bucket.url(name))):
        ran = tithe(
            "select", given, "-o", f"{number}.jsonl", "--work-dir", f"w{number}", "--loss", "column:loss", *BUDGET
        )
        assert ran.code == 0, ran.err
    assert (tmp_path / "0.jsonl").read_bytes() == (tmp_path / "1.jsonl").read_bytes()
    here, there = (json.loads((tmp_path / f"{i}.jsonl.manifest.json").read_text())["inputs"] for i in (0, 1))
    for one, other in zip(here, there, strict=True):
        assert other.pop("path").startswith(f"s3://{bucket.name}/")
        del one["path"]
        assert one == other
    assert tithe("verify", "1.jsonl", "--allow-read", bucket.url("data" if "*" in name else name)).code == 0
    assert tithe("replay", "1.jsonl", "--allow-read", bucket.url()).code == 0


SMALL_PARTITIONS = """
from tithe.cli.main import main
from tithe.selection.engine import executor
executor.PARTITION_BYTES = 5000
main()
"""


def ray(folder: Path, *arguments: str) -> None:
    """A selection by the engine ray, on a cluster of its own."""
    run = subprocess.run(
        [sys.executable, "-c", SMALL_PARTITIONS, "select", *arguments, "--engine", "ray"],
        cwd=folder, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert (run.returncode, run.stdout) == (0, ""), run.stderr


def test_the_engine_ray_gives_the_bytes_of_one_process(bucket: Bucket, tithe: Tithe, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="the engine ray needs the extra ray")
    both(bucket, tmp_path, {"c.jsonl": lines(RECORDS)})
    assert tithe("select", "c.jsonl", "-o", "s.parquet", *BUDGET).code == 0
    ray(tmp_path, bucket.url("c.jsonl"), "-o", bucket.url("out/s.parquet"), *BUDGET)
    for name in OUTPUTS[:2]:
        assert bucket.get(f"out/{name}") == (tmp_path / name).read_bytes()


def test_the_engine_ray_writes_shards_there(bucket: Bucket, tithe: Tithe, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="the engine ray needs the extra ray")
    files, name = CORPORA["glob"]
    both(bucket, tmp_path, files)
    ray(tmp_path, name, "-o", "shards/", "--work-dir", "w0", *BUDGET)
    ray(tmp_path, bucket.url(name), "-o", bucket.url("shards/"), "--work-dir", "w1", *BUDGET)
    written = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("shards*") if path.is_file()]
    written += [f"shards/{path.name}" for path in (tmp_path / "shards").iterdir()]
    assert sorted(written) == [key for key in bucket.objects() if key.startswith("shards")]
    assert [name for name in written if name.startswith("shards/part-00001.")]
    for name in written:
        if not name.endswith((".rows.parquet", ".manifest.json")):
            assert bucket.get(name) == (tmp_path / name).read_bytes()
    ran = tithe("verify", bucket.url("shards.manifest.json"))
    assert (ran.code, ran.out.count("holds")) == (0, 6), ran.out + ran.err
    assert not [path for path in (tmp_path / "w1").iterdir() if path.name.startswith("tithe-")]


def test_outputs_in_a_store_do_what_outputs_here_do(bucket: Bucket, tithe: Tithe, tmp_path: Path) -> None:
    both(bucket, tmp_path, {"c.jsonl": lines(RECORDS)})
    output = bucket.url("out/s.parquet")
    assert tithe("select", "c.jsonl", "-o", "s.parquet", *BUDGET).code == 0
    ran = tithe("select", "c.jsonl", "-o", output, *BUDGET, "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["subsets"][0]["manifest"] == f"{output}.manifest.json"
    assert bucket.objects() == ["c.jsonl", *(f"out/{name}" for name in OUTPUTS)]
    for name in OUTPUTS[:2]:
        assert bucket.get(f"out/{name}") == (tmp_path / name).read_bytes()
    manifest = f"{output}.manifest.json"
    here = ("--allow-read", "c.jsonl")
    assert tithe("verify", manifest, *here).code == 0
    assert tithe("verify", output, *here).code == 0
    assert tithe("replay", manifest, "-o", bucket.url("again/s.parquet"), *here).code == 0
    assert bucket.get("again/s.parquet") == bucket.get("out/s.parquet")
    assert "selected" in tithe("explain", manifest, "--row", "3", *here).out
    assert "0 out, 0 in" in tithe("diff", manifest, "s.parquet.manifest.json").out
    assert tithe("report", manifest, "-o", "page.html").code == 0
    ran = tithe("select", bucket.url("c.jsonl"), "-o", "next.parquet", "--exclude", output, *BUDGET)
    assert ran.code == 0, ran.err
    one, other = (pq.read_table(tmp_path / f"{name}.rows.parquet")["row"] for name in ("s.parquet", "next.parquet"))
    assert not set(one.to_pylist()) & set(other.to_pylist())
    assert tithe("verify", "next.parquet", "--allow-read", bucket.url()).code == 0


def test_several_fractions_go_there_together(bucket: Bucket, tithe: Tithe, corpus: Path) -> None:
    ran = tithe("select", corpus, "-o", bucket.url("s.jsonl"), "--fraction", "0.05,0.1", "--clusters", "10")
    assert ran.code == 0, ran.err
    assert len(bucket.objects()) == 8
    assert tithe("verify", bucket.url("s-0.05.jsonl.manifest.json"), "--allow-read", corpus).code == 0


def test_nothing_is_overwritten_unless_forced(bucket: Bucket, tithe: Tithe, corpus: Path) -> None:
    bucket.put("s.parquet.rows.parquet", b"mine")
    output = bucket.url("s.parquet")
    ran = tithe("select", corpus, "-o", output, *BUDGET)
    assert (ran.code, ran.err) == (1, f"tithe: {output}.rows.parquet: exists already; --force overwrites it\n")
    assert bucket.objects() == ["s.parquet.rows.parquet"]
    assert tithe("select", corpus, "-o", output, *BUDGET, "--force").code == 0
    assert bucket.objects() == OUTPUTS
    assert tithe("verify", f"{output}.manifest.json", "--allow-read", corpus).code == 0


def test_an_input_is_no_output(bucket: Bucket, tithe: Tithe) -> None:
    bucket.put("d/c.jsonl", lines(RECORDS))
    ran = tithe("select", bucket.url("d/c.jsonl"), "-o", bucket.url("d/c.jsonl"), "--force")
    assert (ran.code, "is an input and an output" in ran.err) == (2, True)
    ran = tithe("select", bucket.url("d/"), "-o", bucket.url("d/s.jsonl"))
    assert (ran.code, "lies in the input folder" in ran.err) == (2, True)
    ran = tithe("select", bucket.url("d/"), bucket.url("d/c.jsonl"), "-o", "s.jsonl")
    assert (ran.code, "is given twice" in ran.err) == (2, True)


@pytest.mark.parametrize("ending", ["s.parquet", "s.parquet.rows.parquet", "s.parquet.manifest.json"])
def test_an_upload_that_fails_leaves_nothing(ending: str, bucket: Bucket, tithe: Tithe, corpus: Path) -> None:
    with bucket.failing(Fault("PUT|POST", f"/out/{ending}$", 403)):
        ran = tithe("select", corpus, "-o", bucket.url("out/s.parquet"), *BUDGET)
    said = ran.err.splitlines()[-1]
    assert (ran.code, said.startswith(f"tithe: {bucket.url(f'out/{ending}')}: cannot be written (access denied")) == (
        1,
        True,
    ), ran.err
    assert said.endswith("; nothing is left there")
    assert bucket.objects() == []
    assert tithe("select", corpus, "-o", bucket.url("out/s.parquet"), *BUDGET).code == 0


def test_what_cannot_be_removed_again_is_named(bucket: Bucket, tithe: Tithe, corpus: Path) -> None:
    with bucket.failing(Fault("PUT|POST", "rows.parquet$", 403), Fault("DELETE", ".", 403)):
        ran = tithe("select", corpus, "-o", bucket.url("s.parquet"), *BUDGET)
    assert f"could not be removed again: {bucket.url('s.parquet')} and " in ran.err
    assert ran.code == 1


def test_a_run_that_is_stopped_while_it_uploads_leaves_nothing(bucket: Bucket, corpus: Path, tmp_path: Path) -> None:
    with bucket.failing(Fault("PUT|POST", "clusters.parquet$", 503)):  # which is tried again for a while
        run = subprocess.Popen(
            [sys.executable, "-c", "from tithe.cli.main import main; main()", "select", str(corpus), "-o",
             bucket.url("out/s.parquet"), *BUDGET],
            cwd=tmp_path, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        until(lambda: "out/s.parquet.rows.parquet" in bucket.objects(), run)
        run.send_signal(signal.SIGTERM)
        _, err = run.communicate(timeout=PATIENCE)
    assert run.returncode in (1, 128 + signal.SIGTERM), err
    assert bucket.objects() == []


def failed(tithe: Tithe, *arguments: str) -> str:
    """The one line that a selection failed with."""
    ran = tithe("select", *arguments, "-o", "s.parquet")
    assert ran.code == 1, ran.err
    (line,) = ran.err.splitlines()
    return line


def test_what_is_not_there_is_named(bucket: Bucket, tithe: Tithe) -> None:
    bucket.put("d/x.txt", b"x")
    url = bucket.url("no.jsonl")
    assert failed(tithe, url) == f"tithe: {url}: no such object"
    assert failed(tithe, "s3://no-such-bucket/c.jsonl") == (
        "tithe: s3://no-such-bucket/c.jsonl: there is no bucket 'no-such-bucket'"
    )
    assert failed(tithe, bucket.url("x*.jsonl")) == f"tithe: {bucket.url('x*.jsonl')}: no object matches"
    assert "the folder holds no" in failed(tithe, bucket.url("d"))
    ran = tithe("select", bucket.url("d/x.txt"), "-o", "s.parquet")
    assert (ran.code, "the suffix names no format" in ran.err) == (2, True)
    ran = tithe("verify", bucket.url("no.manifest.json"))
    assert (ran.code, ran.err) == (1, f"tithe: {bucket.url('no.manifest.json')}: cannot be read (no such object)\n")
    bucket.put("broken.manifest.json", b"{}\n")
    ran = tithe("verify", bucket.url("broken.manifest.json"))
    assert (ran.code, bucket.url("broken.manifest.json") in ran.out) == (3, True)
    ran = tithe("select", bucket.url("c.jsonl"), "-o", "s3://no-such-bucket/s.parquet")
    assert (ran.code, ran.err) == (1, "tithe: s3://no-such-bucket/s.parquet: there is no bucket 'no-such-bucket'\n")


def test_denied(bucket: Bucket, tithe: Tithe) -> None:
    bucket.put("c.jsonl", lines(RECORDS))
    url = bucket.url("c.jsonl")
    with bucket.failing(Fault("HEAD", "c.jsonl", 403)):
        assert failed(tithe, url).startswith(f"tithe: {url}: access denied; check the credentials")
    with bucket.failing(Fault("GET", "c.jsonl", 403)):
        assert failed(tithe, url).startswith(f"tithe: {url}: access denied; check the credentials")


def test_a_store_that_cannot_be_reached_is_given_up_after_a_few_attempts(bucket: Bucket, tithe: Tithe) -> None:
    url = "s3://elsewhere/c.jsonl?endpoint_override=127.0.0.1:9&scheme=http"
    assert failed(tithe, url).startswith(f"tithe: {url}: the store cannot be reached")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(50)
        url = f"s3://elsewhere/c.jsonl?endpoint_override=127.0.0.1:{silent.getsockname()[1]}&scheme=http"
        assert "Timeout was reached" in failed(tithe, url)
        silent.setblocking(False)
        attempts = 0
        with contextlib.suppress(BlockingIOError):
            while attempts < 50:
                silent.accept()[0].close()
                attempts += 1
    assert 1 <= attempts <= 5


def test_stores_that_are_not_here(tithe: Tithe) -> None:
    url = "gs://bucket/c.jsonl?endpoint_override=127.0.0.1:9&scheme=http&retry_limit_seconds=1"
    assert failed(tithe, url).startswith(f"tithe: {url}: the store cannot be reached")
    assert failed(tithe, "hdfs://machine:8020/c.jsonl").startswith("tithe: hdfs://machine:8020/c.jsonl: ")
    ran = tithe("select", "https://machine/c.jsonl", "-o", "s.parquet")
    assert (ran.code, ran.err) == (
        2,
        "tithe: https://machine/c.jsonl: unknown scheme; there are s3://, gs://, hdfs://, file://\n",
    )


def test_a_connection_that_is_lost_for_good_is_no_damage(bucket: Bucket, tithe: Tithe) -> None:
    bucket.put("c.jsonl", lines(RECORDS))
    url = bucket.url("c.jsonl")
    assert tithe("select", url, "-o", "w.parquet", *BUDGET).code == 0
    with bucket.failing(Fault("GET", "c.jsonl", after=2)):
        ran = tithe("select", url, "-o", "s.parquet", "--work-dir", "other", *BUDGET)
    assert ran.code == 1
    assert ran.err.splitlines()[-1].startswith(f"tithe: {url}: the store cannot be reached, or the connection was lost")


def test_a_request_that_fails_now_and_then_is_made_again(bucket: Bucket, tithe: Tithe, tmp_path: Path) -> None:
    both(bucket, tmp_path, {"c.jsonl": lines(RECORDS)})
    assert tithe("select", "c.jsonl", "-o", "l.jsonl", "--work-dir", "w", *BUDGET).code == 0
    with bucket.failing(Fault("GET", "c.jsonl", 503, times=1), Fault("GET", "c.jsonl", after=2, times=1)):
        ran = tithe("select", bucket.url("c.jsonl"), "-o", "s.jsonl", *BUDGET)
    assert ran.code == 0, ran.err
    assert (tmp_path / "s.jsonl").read_bytes() == (tmp_path / "l.jsonl").read_bytes()


CHANGING = """
import os, urllib.request
import numpy as np
from tests.stores import HEADERS

class Changing:
    def identity(self):
        return {"name": "changing"}

    def encode(self, texts):
        url = os.environ["AWS_ENDPOINT_URL"] + os.environ["CHANGED"]
        request = urllib.request.Request(url, b'{"text": "new"}\\n', HEADERS, method="PUT")
        urllib.request.urlopen(request).close()
        return np.array([[len(text), text.count("a"), 1.0] for text in texts], np.float32)
"""


def test_an_object_that_changes_during_the_run_is_noticed(
    bucket: Bucket, tithe: Tithe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put("c.jsonl", lines(RECORDS))
    (tmp_path / "changing.py").write_text(CHANGING)
    monkeypatch.setenv("CHANGED", f"/{bucket.name}/c.jsonl")
    ran = tithe("select", bucket.url("c.jsonl"), "-o", "s.parquet", "--encoder", "changing:Changing", *BUDGET)
    assert ran.code == 1
    assert ran.err.splitlines()[-1] == (
        f"tithe: {bucket.url('c.jsonl')}: changed during the run; run again when nothing writes to it"
    )


def test_no_secret_of_a_url_gets_anywhere(bucket: Bucket, tithe: Tithe, tmp_path: Path) -> None:
    both(bucket, tmp_path, {"d/c.jsonl": lines(RECORDS), "bad.jsonl": b'{"text": 1'})
    with_secret = f"s3://someone:5ecre%2Ft@{bucket.name}"
    for command in (
        ("select", f"{with_secret}/d/", "-o", f"{with_secret}/out/s.parquet", *BUDGET),
        ("select", f"{with_secret}/d/", "-o", f"{with_secret}/out/s.parquet", "--debug"),
        ("select", f"{with_secret}/d/*", "-o", "t.jsonl", "--exclude", f"{with_secret}/out/s.parquet", *BUDGET),
        ("verify", f"{with_secret}/out/s.parquet.manifest.json", "--json"),
        ("verify", f"{with_secret}/out/s.parquet", "--json", "--allow-read", bucket.url()),
        ("verify", "t.jsonl.manifest.json", "--allow-read", f"{with_secret}/"),
        (
            "replay",
            f"{with_secret}/out/s.parquet.manifest.json",
            "-o",
            f"{with_secret}/out/t.parquet",
            "--json",
            "--allow-read",
            bucket.url(),
        ),
        ("explain", "t.jsonl.manifest.json", "--row", "1", "--allow-read", bucket.url()),
        ("diff", f"{with_secret}/out/s.parquet.manifest.json", "t.jsonl.manifest.json", "--json"),
        ("report", f"{with_secret}/out/s.parquet.manifest.json", "-o", "page.html"),
        ("select", f"{with_secret}/bad.jsonl", "-o", "s.jsonl", "--debug"),
        ("select", f"{with_secret}/no.jsonl", "-o", "s.jsonl", "--debug"),
        ("select", f"{with_secret}/d/c.jsonl?5ecret=5ecret", "-o", "s.jsonl", "--debug"),
        ("select", f"s3://someone:5ecre/t@{bucket.name}/c.jsonl", "-o", "s.jsonl", "--debug"),
        ("select", f"https://someone:5ecre/t@{bucket.name}/c.jsonl", "-o", "s.jsonl", "--debug"),
        ("select", f"{with_secret}/d/c.jsonl", "-o", "s.jsonl", "--work-dir", f"{with_secret}/w"),
        ("select", f"{with_secret}/d/c.jsonl", "-o", "s.jsonl", "--loss", f"file:{with_secret}/l.jsonl"),
    ):
        ran = tithe(*command)
        assert "5ecre" not in ran.out + ran.err, command
        assert "internal error" not in ran.err
    written = [
        *(path.read_bytes() for path in tmp_path.iterdir() if path.is_file()),
        *map(bucket.get, bucket.objects()),
    ]
    assert len(written) > 15
    assert not [content for content in written if b"5ecre" in content or b"someone" in content]
    manifest = json.loads((tmp_path / "t.jsonl.manifest.json").read_text())
    assert manifest["options"]["inputs"] == [f"s3://{bucket.name}/d/*"]
    assert manifest["inputs"][0]["path"] == f"s3://{bucket.name}/d/c.jsonl"
    assert tithe("replay", "t.jsonl", "--allow-read", bucket.url()).code == 0, "by the credentials of the environment"


def test_the_work_folder_stays_here(bucket: Bucket, tithe: Tithe, corpus: Path) -> None:
    ran = tithe("select", corpus, "-o", "s.jsonl", "--work-dir", bucket.url("w"))
    assert ran.code == 2
    assert "the work folder is mapped into memory; name a local or shared folder" in ran.err
    ran = tithe("centers", corpus, "-o", bucket.url("c.jsonl"))
    assert (ran.code, "name a local file" in ran.err) == (2, True)


def test_a_url_of_a_file_is_a_file(tithe: Tithe, corpus: Path, tmp_path: Path) -> None:
    assert tithe("select", corpus, "-o", "l.jsonl", *BUDGET).code == 0
    assert tithe("select", corpus.as_uri(), "-o", (tmp_path / "u.jsonl").as_uri(), *BUDGET).code == 0
    assert (tmp_path / "u.jsonl").read_bytes() == (tmp_path / "l.jsonl").read_bytes()
    assert tithe("verify", (tmp_path / "u.jsonl.manifest.json").as_uri()).code == 0


def test_inputs_here_and_outputs_there_are_found_from_elsewhere(
    bucket: Bucket, tithe: Tithe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_jsonl(tmp_path / "c.jsonl", RECORDS)
    assert tithe("select", "c.jsonl", "-o", bucket.url("s.parquet"), *BUDGET).code == 0
    monkeypatch.chdir(os.sep)
    manifest = bucket.url("s.parquet.manifest.json")
    assert tithe("verify", manifest, "--allow-read", tmp_path / "c.jsonl").code == 0
