"""A store that fails in many ways, behind a real server: a line and exit code 1 each time, and nothing half-written."""

from __future__ import annotations

import gzip
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import Tithe, make_records
from tests.proxies import Answer, Asked, Deed, Proxy, proxying
from tests.stores import Bucket
from tithe.selection.errors import TitheError
from tithe.selection.storage import object_store
from tithe.selection.storage.own_files import OwnPath
from tithe.selection.subset.upload import upload

LINES = "".join(json.dumps(record) + "\n" for record in make_records(300)).encode()
BUDGET = ("--size", "30", "--clusters", "8")
SECRETS = ("key", "hush", "session-token")


@pytest.fixture
def proxy(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """The way to the store; what is silent is given up soon."""
    with proxying(bucket.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        monkeypatch.setenv("AWS_SESSION_TOKEN", SECRETS[2])
        monkeypatch.setattr(object_store, "_ATTEMPTS", 1)
        monkeypatch.setattr(object_store, "_SILENCE", 1)
        yield proxy


def refusal(status: int, code: str) -> Answer:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>it says</Message></Error>".encode()
    return Answer(status, [("Content-Type", "text/xml"), ("Content-Length", str(len(body)))], body)


def of_length(answer: Answer, body: bytes) -> Answer:
    return Answer(answer.status, answer.headers, body).with_header("Content-Length", str(len(body)))


def reading(deed: Callable[[Asked], object]) -> Deed:
    """Do it where an object is read."""
    return lambda asked: deed(asked) if asked.method == "GET" and "list-type" not in asked.path else False


def cut_off(asked: Asked) -> None:
    answer = asked.real()
    asked.send(answer, answer.body[: len(answer.body) // 2])
    asked.reset()


def cut_short(asked: Asked) -> None:
    answer = asked.real()
    asked.send(answer, answer.body[: len(answer.body) // 2])


def wrong_length(asked: Asked) -> None:
    answer = asked.real()
    asked.send(of_length(answer, answer.body[: len(answer.body) // 2]))


def nothing_at_all(asked: Asked) -> None:
    asked.send(of_length(asked.real(), b""))


def too_much(asked: Asked) -> None:
    answer = asked.real()
    asked.send(of_length(answer, answer.body + b'{"text": "more"}\n'))


def silent_amid(asked: Asked) -> None:
    answer = asked.real()
    asked.send(answer, answer.body[:100])
    asked.stall()


LOST, BUSY, DENIED = "the store cannot be reached, or the connection was lost", "too busy; try again", "access denied"


@pytest.mark.parametrize(
    ("deed", "said"),
    [
        pytest.param(lambda asked: asked.reset(), LOST, id="refuses connections"),
        pytest.param(lambda asked: asked.stall(), LOST, id="never answers"),
        pytest.param(reading(cut_off), LOST, id="resets amid the body"),
        pytest.param(reading(cut_short), LOST, id="cuts the body short"),
        pytest.param(reading(wrong_length), "the store sends fewer bytes than it says", id="a wrong Content-Length"),
        pytest.param(reading(nothing_at_all), "the store sends fewer bytes than it says", id="no body"),
        pytest.param(reading(too_much), "the store sends other bytes than it was asked for", id="too long a body"),
        pytest.param(reading(silent_amid), LOST, id="falls silent amid the body"),
        pytest.param(lambda asked: asked.send(refusal(503, "SlowDown")), BUSY, id="always too busy"),
        pytest.param(reading(lambda asked: asked.send(refusal(500, "InternalError"))), BUSY, id="always broken"),
        pytest.param(reading(lambda asked: asked.send(refusal(403, "AccessDenied"))), DENIED, id="denies"),
        pytest.param(reading(lambda asked: asked.send(refusal(400, "ExpiredToken"))), DENIED, id="an expired token"),
        pytest.param(reading(lambda asked: asked.send(refusal(404, "NoSuchKey"))), "no such object", id="deleted"),
    ],
)
def test_a_store_that_fails_ends_the_run_in_a_line(
    deed: Deed, said: str, proxy: Proxy, bucket: Bucket, tithe: Tithe, tmp_path: Path
) -> None:
    bucket.put("c.jsonl", LINES)
    proxy.deed = deed
    started = time.monotonic()
    ran = tithe("select", bucket.url("c.jsonl"), "-o", "s.jsonl", *BUDGET)
    assert time.monotonic() - started < 30
    assert (ran.code, ran.out) == (1, ""), ran.err
    (line,) = ran.err.splitlines()
    assert line.startswith(f"tithe: {bucket.url('c.jsonl')}: "), line
    assert said in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["c.parquet", "c.jsonl.gz"])
def test_bytes_that_no_answer_has_filled_are_never_taken_for_content(
    name: str, proxy: Proxy, bucket: Bucket, tithe: Tithe
) -> None:
    """Such as those of plain columns, in which any bytes are numbers."""
    sink = pa.BufferOutputStream()
    table = pa.table({"text": [f"{i}" for i in range(9000)], "v": [[float(i), 1.0] for i in range(9000)]})
    pq.write_table(table, sink, compression="none", use_dictionary=False)
    bucket.put("c.parquet", sink.getvalue().to_pybytes())
    bucket.put("c.jsonl.gz", gzip.compress(LINES * 4))

    def wrong_amid(asked: Asked) -> object:
        ranges = re.fullmatch(r"bytes=(\d+)-(\d+)", asked.headers.get("range", ""))
        if asked.method != "GET" or ranges is None or int(ranges[2]) - int(ranges[1]) < 1000:
            return False
        return asked.send(of_length(answer := asked.real(), answer.body[:-100]))

    proxy.deed = wrong_amid
    ran = tithe("select", bucket.url(name), "-o", "s.jsonl", *BUDGET)
    assert (ran.code, "the store sends fewer bytes than it says" in ran.err) == (1, True), ran.err


def test_a_store_that_is_too_busy_twice_is_asked_again(
    proxy: Proxy, bucket: Bucket, tithe: Tithe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store, "_ATTEMPTS", 4)
    bucket.put("c.jsonl", LINES)
    refused = iter([500, 503])

    def busy(asked: Asked) -> object:
        status = next(refused, None)
        return False if status is None else asked.send(refusal(status, "SlowDown"))

    proxy.deed = reading(busy)
    assert tithe("select", bucket.url("c.jsonl"), "-o", "s.jsonl", *BUDGET).code == 0


@pytest.mark.parametrize("amid", [False, True], ids=["after it was listed", "between two reads"])
def test_an_object_that_becomes_another_one_is_noticed(
    amid: bool, proxy: Proxy, bucket: Bucket, tithe: Tithe, tmp_path: Path
) -> None:
    bucket.put("d/a.jsonl", LINES)
    bucket.put("d/b.jsonl", LINES)

    def change(asked: Asked) -> bool:
        if asked.method == "GET" and ("b.jsonl" in asked.path if amid else "max-keys=1000" in asked.path):
            answer = asked.real()
            bucket.put("d/b.jsonl", LINES[: len(LINES) // 2])
            asked.send(answer)
            return True
        return False

    proxy.deed = change
    ran = tithe("select", bucket.url("d/"), "-o", "s.jsonl", *BUDGET)
    assert (ran.code, ran.err.splitlines()[-1]) == (
        1,
        f"tithe: {bucket.url('d/b.jsonl')}: changed during the run; run again when nothing writes to it",
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("listing", "said"),
    [
        (b"garbage <not xml", "what the store answers cannot be read; is that the endpoint of a store?"),
        (b"<?xml version='1.0'?><ListBucketResult><Contents><Key>d/a", "what the store answers cannot be read"),
        (b"<html><body>Please log in</body></html>", "no such object"),
        (b"", "no such object"),
    ],
)
def test_a_listing_that_is_none_is_no_corpus(
    listing: bytes, said: str, proxy: Proxy, bucket: Bucket, tithe: Tithe
) -> None:
    bucket.put("d/a.jsonl", LINES)
    answer = of_length(Answer(200, [("Content-Type", "application/xml")], b""), listing)
    proxy.deed = lambda asked: asked.send(answer) if "list-type" in asked.path else False
    ran = tithe("select", bucket.url("d/"), "-o", "s.jsonl", *BUDGET)
    assert (ran.code, said in ran.err, ran.err.count("\n")) == (1, True, 1), ran.err


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("method", ["HEAD", "GET", "PUT"])
def test_nothing_goes_where_a_store_sends_it(
    method: str, status: int, proxy: Proxy, bucket: Bucket, tithe: Tithe, corpus: Path
) -> None:
    bucket.put("c.jsonl", LINES)
    with proxying(bucket.endpoint) as elsewhere:

        def redirect(asked: Asked) -> object:
            if asked.method != method:
                return False
            location = ("Location", elsewhere.endpoint + asked.path)
            return asked.send(Answer(status, [location, ("Content-Length", "0")], b""))

        proxy.deed = redirect
        here, there = (corpus, "out.jsonl") if method == "PUT" else ("s.jsonl", "c.jsonl")
        source, output = (here, bucket.url(there)) if method == "PUT" else (bucket.url(there), here)
        ran = tithe("select", source, "-o", output, *BUDGET)
    assert (ran.code, "the store sends to another place, which is not followed" in ran.err) == (1, True), ran.err
    assert elsewhere.asked == []


def test_no_object_is_read_under_the_name_of_another(
    proxy: Proxy, bucket: Bucket, tithe: Tithe, tmp_path: Path
) -> None:
    """On its way through libraries, `d//c` would become `d/c`, and `d/../c` another folder's."""
    bucket.put("c.jsonl", LINES)
    bucket.put("d/c.jsonl", LINES)
    for key in ("x/../c.jsonl", "x/./c.jsonl", "d//c.jsonl"):
        for arguments in (
            ("select", bucket.url(key), "-o", "s.jsonl"),
            ("select", bucket.url("c.jsonl"), "-o", bucket.url(key), "--force"),
        ):
            ran = tithe(*arguments, *BUDGET)
            assert (ran.code, "its name has an empty part, or one that is . or .." in ran.err) == (1, True), ran.err
    bucket.put("d//c.jsonl", LINES)
    ran = tithe("select", bucket.url("d"), "-o", "s.jsonl", *BUDGET)
    assert (ran.code, "its name has an empty part" in ran.err) == (1, True), ran.err
    assert bucket.get("c.jsonl") == bucket.get("d/c.jsonl") == LINES
    assert list(tmp_path.iterdir()) == []


def test_what_names_hold_does_nothing(proxy: Proxy, bucket: Bucket, tithe: Tithe, tmp_path: Path) -> None:
    for key in ("d/\x1b[31m\x07.jsonl", "d/\u202ex.jsonl", "d/a%0Ab.jsonl", "d/${HOME}`id`.jsonl"):
        bucket.put(key, b'{"text": null}\n')
        ran = tithe("select", bucket.url("d/"), "-o", "s.jsonl", "--text", "text", *BUDGET)
        assert (ran.code, all(line.isprintable() for line in ran.err.split("\n"))) == (1, True), ran.err
    assert list(tmp_path.iterdir()) == []


STAGES: dict[str, Callable[[Asked], bool]] = {
    "put": lambda asked: asked.method == "PUT" and "partNumber" not in asked.path,
    "create": lambda asked: asked.method == "POST" and "?uploads" in asked.path,
    "part": lambda asked: asked.method == "PUT" and "partNumber=2" in asked.path,
    "complete": lambda asked: asked.method == "POST" and "uploadId" in asked.path,
}


ANSWERS: dict[str, Callable[[Asked], object]] = {
    "denied": lambda asked: asked.send(refusal(403, "AccessDenied")),
    "lost": lambda asked: asked.reset(),
    "an error that looks like success": lambda asked: asked.send(refusal(200, "InternalError")),
}


@pytest.mark.parametrize(
    ("stage", "how"),
    [
        *((stage, how) for stage in STAGES for how in ("denied", "lost")),
        *((stage, "an error that looks like success") for stage in ("create", "complete")),
    ],
)
def test_an_upload_that_fails_at_any_stage_leaves_no_object_and_no_manifest(
    stage: str, how: str, proxy: Proxy, bucket: Bucket, tmp_path: Path
) -> None:
    for name, size in (("s", 11 << 20), ("rows", 1000), ("manifest", 100)):
        (tmp_path / name).write_bytes(bytes(size))
    fails = STAGES[stage]

    def deed(asked: Asked) -> object:
        # The folder's marker, by which pyarrow keeps an emptied folder, is no output.
        if not fails(asked) or (stage == "put" and "out/rows" not in asked.path):
            return False
        return ANSWERS[how](asked)

    proxy.deed = deed
    place = object_store.ObjectUrl.parse
    files = [(OwnPath(tmp_path) / name, place(bucket.url(f"out/{name}"))) for name in ("s", "rows")]
    manifests = [(OwnPath(tmp_path) / "manifest", place(bucket.url("out/manifest")))]
    with pytest.raises(TitheError) as failed:
        upload(files, manifests)
    proxy.deed = lambda asked: False
    said = str(failed.value)
    assert said.startswith(f"{bucket.url('out/rows' if stage == 'put' else 'out/s')}: cannot be written (")
    assert "nothing is left there" in said
    assert ("AbortIncompleteMultipartUpload" in said) == (stage != "put")
    assert bucket.objects() == []
