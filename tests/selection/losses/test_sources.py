"""Losses from files and commands: the same subset as from a column, exactly k asked for, and clear failures."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import Ran, Tithe, make_records, read_jsonl, write_jsonl
from tests.waiting import until

BUDGET = ("--clusters", "12", "--size", "40")
RECORDS = make_records(400)


@pytest.fixture
def chosen(tithe: Tithe, tmp_path: Path) -> list[dict]:
    """The subset that the losses in the corpus give."""
    write_jsonl(tmp_path / "c.jsonl", RECORDS)
    assert tithe("select", "c.jsonl", "-o", "column.jsonl", *BUDGET, "--loss", "column:loss").code == 0
    return read_jsonl(tmp_path / "column.jsonl")


def select(tithe: Tithe, loss: str, *more: str) -> Ran:
    return tithe("select", "c.jsonl", "-o", "s.jsonl", *BUDGET, "--loss", loss, *more)


def queries(tmp_path: Path) -> tuple[int, int]:
    manifest = json.loads((tmp_path / "s.jsonl.manifest.json").read_text())
    return manifest["loss_queries"], manifest["k"]


@pytest.mark.parametrize("name", ["losses.jsonl", "losses.parquet"])
def test_a_file_gives_the_subset_that_the_column_gives(
    tithe: Tithe, chosen: list[dict], tmp_path: Path, name: str
) -> None:
    losses = [{"row": i, "loss": record["loss"], "note": None} for i, record in enumerate(RECORDS)][::-1]
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(losses), tmp_path / name)
    else:
        write_jsonl(tmp_path / name, losses)
    ran = select(tithe, f"file:{name}")
    assert ran.code == 0, ran.err
    assert read_jsonl(tmp_path / "s.jsonl") == chosen
    asked, k = queries(tmp_path)
    assert asked == k


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda losses: losses[:5], "losses.jsonl: has no loss for"),
        (lambda losses: losses + losses, "a second loss for row"),
        (lambda losses: [{**r, "loss": -1.0} for r in losses], "the loss in 'loss' is -1.0; it must be finite and not"),
        (lambda losses: [{**r, "loss": "high"} for r in losses], "the loss in 'loss' is 'high', not a number"),
        (lambda losses: [{"row": "1", "loss": 1.0}, *losses], "line 1: 'row' is '1', not the number of a record"),
        (lambda losses: [{"loss": 1.0}, *losses], "line 1: 'row' is None"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(
    tithe: Tithe, chosen: list[dict], tmp_path: Path, change: object, message: str
) -> None:
    losses = [{"row": i, "loss": record["loss"]} for i, record in enumerate(RECORDS)]
    write_jsonl(tmp_path / "losses.jsonl", change(losses))  # type: ignore[operator]
    ran = select(tithe, "file:losses.jsonl")
    assert (ran.code, message in ran.err) == (1, True), ran.err
    assert not (tmp_path / "s.jsonl").exists()


GOOD = """
import json, sys
for line in sys.stdin:
    print(json.dumps({"loss": json.loads(line)["loss"]}), flush=True)
"""


def command(tmp_path: Path, script: str) -> str:
    (tmp_path / "scorer.py").write_text(script)
    return f"exec:{sys.executable} scorer.py"


@pytest.mark.parametrize("source", ["c.jsonl", "c.parquet"])
def test_a_command_gives_the_subset_that_the_column_gives(
    tithe: Tithe, chosen: list[dict], tmp_path: Path, source: str
) -> None:
    pq.write_table(pa.Table.from_pylist(RECORDS), tmp_path / "c.parquet")
    counting = GOOD + "    print(line, end='', file=open('seen', 'a'))\n"
    arguments = (*BUDGET, "--loss", command(tmp_path, counting))
    ran = tithe("select", source, "-o", "s.jsonl", *arguments)
    assert ran.code == 0, ran.err
    assert read_jsonl(tmp_path / "s.jsonl") == chosen
    asked, k = queries(tmp_path)
    seen = read_jsonl(tmp_path / "seen")
    assert asked == k == len(seen)
    assert all(record == RECORDS[record["id"]] for record in seen)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("import sys; sys.exit('no GPU left')", "ended with exit code 1; its stderr ends: no GPU left"),
        (GOOD + "sys.exit(3)", "ended with exit code 3"),
        ("print('{\"loss\": 1}')", "printed 1 line, "),
        (GOOD + "print('{\"loss\": 1}')", "printed more than the "),
        ("print('garbage \\x1b[31m')", "line 1 of its output is no JSON object: 'garbage"),
        ("print('{\"value\": 1}')", "line 1 of its output is no JSON object with 'loss'"),
        ("print('{\"loss\": NaN}')", "line 1 of its output: the loss in 'loss' is nan"),
        ("print('{\"loss\": -2}')", "line 1 of its output: the loss in 'loss' is -2"),
        ("print('{\"loss\": true}')", "line 1 of its output: the loss in 'loss' is True, not a number"),
        ("raise RuntimeError('broken')", "RuntimeError: broken"),
    ],
)
def test_a_command_that_fails_ends_in_one_line(
    tithe: Tithe, chosen: list[dict], tmp_path: Path, script: str, message: str
) -> None:
    ran = select(tithe, command(tmp_path, script))
    assert (ran.code, message in ran.err) == (1, True), ran.err
    assert ran.err.splitlines()[-1].startswith("tithe: --loss exec:")
    assert not (tmp_path / "s.jsonl").exists()


def test_a_command_that_falls_silent_is_stopped_with_all_it_started(
    tithe: Tithe, chosen: list[dict], tmp_path: Path
) -> None:
    started = "sleep 3600 & echo $! > started; echo '{\"loss\": 1}'; sleep 3600"
    ran = select(tithe, f"exec:{started}", "--loss-timeout", "3")
    assert (ran.code, "said nothing for 3 s (--loss-timeout)" in ran.err) == (1, True), ran.err
    until(lambda: not is_running(int((tmp_path / "started").read_text())))


def is_running(process: int) -> bool:
    """Whether there is such a process that has not ended."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{process}/stat")
    return not (state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z")


LEAVING = "\nimport subprocess\nsubprocess.Popen(['sleep', '200'], start_new_session=True)\n"


@pytest.mark.parametrize(
    ("script", "code", "message"),
    [
        (GOOD + LEAVING, 0, "wrote"),
        (LEAVING + "import os\nos._exit(3)", 1, "ended with exit code 3"),
    ],
)
def test_nobody_waits_for_what_a_command_leaves_behind_with_its_pipes(
    tithe: Tithe, chosen: list[dict], tmp_path: Path, script: str, code: int, message: str
) -> None:
    start = time.perf_counter()
    ran = select(tithe, command(tmp_path, script))
    assert time.perf_counter() - start < 100
    assert (ran.code, message in ran.err) == (code, True), ran.err
    assert code or read_jsonl(tmp_path / "s.jsonl") == chosen


def test_a_command_that_will_not_be_stopped_is_stopped(tithe: Tithe, chosen: list[dict], tmp_path: Path) -> None:
    deaf = """
import os, signal, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
    signal.signal(number, signal.SIG_IGN)
open("pid", "w").write(str(os.getpid()))
while True:
    time.sleep(1)
"""
    ran = select(tithe, command(tmp_path, deaf), "--loss-timeout", "2")
    assert (ran.code, "said nothing for 2 s (--loss-timeout)" in ran.err) == (1, True), ran.err
    process = Path("/proc", (tmp_path / "pid").read_text(), "stat")
    while process.exists() and process.read_text().rpartition(")")[2].split()[0] not in "ZX":
        time.sleep(0.01)  # it is killed, and ends when the system comes to it


def test_a_line_without_end_is_not_held(tithe: Tithe, chosen: list[dict], tmp_path: Path) -> None:
    endless = "import sys\nwhile True:\n    sys.stdout.write('x' * 1000000)\n"
    ran = select(tithe, command(tmp_path, endless), "--loss-timeout", "60")
    assert (ran.code, "line 1 of its output is no JSON object: 'xxx" in ran.err) == (1, True), ran.err


def test_what_a_command_complains_of_without_end_fills_no_disk(
    tithe: Tithe, chosen: list[dict], tmp_path: Path
) -> None:
    complaining = "import sys\nsys.stderr.write('x' * 5_000_000)\nsys.stderr.flush()\n" + GOOD
    spec = command(tmp_path, complaining).replace("exec:", "exec:ulimit -f 1000; ")  # files of 1 MB at most
    ran = select(tithe, spec)
    assert ran.code == 0, ran.err
    assert read_jsonl(tmp_path / "s.jsonl") == chosen


def test_a_command_need_not_read_what_it_is_given(tithe: Tithe, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "c.jsonl", [{"text": f"{i} " * 50_000} for i in range(30)])
    knowing = "for i in range(4): print('{\"loss\": 1}')\n"
    ran = tithe(
        "select", "c.jsonl", "-o", "s.jsonl", "--clusters", "4", "--size", "9", "--loss", command(tmp_path, knowing)
    )
    assert ran.code == 0, ran.err


def test_a_command_sees_the_environment_of_the_user(
    tithe: Tithe, chosen: list[dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tithe.selection.engine.blas._chosen", "SkylakeX")
    monkeypatch.setenv("OPENBLAS_CORETYPE", "SkylakeX")
    checking = "import os\nassert 'OPENBLAS_CORETYPE' not in os.environ\n" + GOOD
    ran = select(tithe, command(tmp_path, checking))
    assert ran.code == 0, ran.err


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("colum:loss", "did you mean column?"),
        ("perplexity", "use none, column:NAME, file:PATH, exec:COMMAND, model:NAME_OR_FOLDER or module:attribute"),
        ("exec:", "it is written exec:COMMAND"),
        ("file:nowhere.jsonl", "--loss file:nowhere.jsonl: no such file"),
    ],
)
def test_sources_that_are_not_there(tithe: Tithe, chosen: list[dict], spec: str, message: str) -> None:
    ran = select(tithe, spec)
    assert (ran.code, message in ran.err) == (1 if "file" in spec else 2, True), ran.err
