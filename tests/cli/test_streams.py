"""Standard streams that are closed, full or whose reader left; signals while the program starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import make_records, write_jsonl

PROGRAM = Path(sys.executable).with_name("tithe")

# Sends a signal at the moment at which a module is asked for: what a user who changes their mind would have to hit.
AT_IMPORT = """
import os, sys

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["STOP_AT"]:
            os.kill(os.getpid(), int(os.environ["STOP_BY"]))

sys.meta_path.insert(0, Watch())
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_jsonl(tmp_path / "c.jsonl", make_records(60))
    return tmp_path


def shell(folder: Path, command: str, **environment: str) -> tuple[int, str, str]:
    """How a line of bash ended, in which `tithe` is the program."""
    run = subprocess.run(
        ["bash", "-c", f'tithe() {{ "{PROGRAM}" "$@"; }}; {command}'],
        cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, errors="backslashreplace",
    )  # fmt: skip
    return run.returncode, run.stdout, run.stderr


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        ("tithe encoders >&-", 1, "tithe: standard output: cannot be written to (it is closed)\n"),
        ("tithe --help >&-", 1, "tithe: standard output: cannot be written to (it is closed)\n"),
        ("tithe select c.jsonl -o - >&-", 1, "tithe: standard output: cannot be written to (it is closed)\n"),
        ("tithe encoders --json > /dev/full", 1, "tithe: standard output: cannot be written to (No space left on device)\n"),
        ("tithe select c.jsonl -o - --quiet > /dev/full", 1, "tithe: standard output: cannot be written to (No space left on device)\n"),
        ("tithe select - -o s.jsonl <&-", 1, "tithe: -: standard input is closed\n"),
        ("tithe select nothing.jsonl -o s.jsonl <&- >&-", 1, "tithe: nothing.jsonl: no such file\n"),
        ("tithe nonsense 2>&-", 2, ""),
        ("tithe nonsense 2>/dev/full", 2, ""),
        ("tithe encoders 2>&- >/dev/null <&-", 0, ""),
        ("tithe encoders >&- 2>&- <&-", 1, ""),
    ],
)  # fmt: skip
def test_streams_that_are_closed_or_full(folder: Path, command: str, code: int, message: str) -> None:
    assert shell(folder, command) == (code, "", message)
    assert [path.name for path in folder.iterdir()] == ["c.jsonl"]


def test_files_do_not_take_the_place_of_closed_streams(folder: Path) -> None:
    # A library that prints on descriptor 1 would write into the first file that is opened, were it that.
    (folder / "loud.py").write_text(
        "import os\ndef losses(records):\n    os.write(1, b'LOUD')\n    os.write(2, b'LOUD')\n    return [1.0] * len(records)\n"
    )
    select = "tithe select c.jsonl -o s.parquet --clusters 4 --size 9 --loss loud:losses >&- 2>&- <&-"
    assert shell(folder, select)[0] == 0
    assert shell(folder, "tithe verify s.parquet.manifest.json --quiet")[0] == 0
    assert not [
        path for path in folder.iterdir() if path.is_file() and path.suffix != ".py" and b"LOUD" in path.read_bytes()
    ]


@pytest.mark.parametrize(
    "command",
    [
        "tithe select c.jsonl -o - --quiet",
        "tithe encoders",
        "tithe --help",
        "tithe cache list --json",
    ],
)
def test_a_reader_that_leaves_ends_the_program_as_it_ends_others(folder: Path, command: str) -> None:
    # The reader of the fifo is gone before anything is written to it.
    line = f"mkfifo gone; exec 3<>gone 4>gone 3>&-; {command} >&4"
    assert shell(folder, line) == (141, "", "")


def test_a_reader_of_messages_that_leaves_stops_no_work(folder: Path) -> None:
    assert (
        shell(folder, "tithe select c.jsonl -o s.jsonl --size 9 2>&1 >/dev/null | true; echo ${PIPESTATUS[0]}")[1]
        == "0\n"
    )
    assert len((folder / "s.jsonl").read_text().splitlines()) == 9


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize("module", ["click", "numpy", "faiss", "tithe.selection.pipeline"])
def test_a_signal_while_the_program_starts_ends_it_at_once(folder: Path, number: signal.Signals, module: str) -> None:
    (folder / "hook").mkdir()
    (folder / "hook" / "sitecustomize.py").write_text(AT_IMPORT)
    run = subprocess.run(
        [PROGRAM, "select", "c.jsonl", "-o", "s.jsonl", "--quiet"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": "hook", "STOP_AT": module, "STOP_BY": str(int(number))},
        capture_output=True,
        text=True,
        # Where the tests run in the background, SIGINT is ignored, and children would inherit that.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    assert run.returncode == 128 + number
    said = {"SIGINT": "tithe: interrupted\n", "SIGTERM": "tithe: terminated\n"}[number.name]
    assert (run.stdout, run.stderr) in (("", ""), ("", said))
    assert not (folder / "s.jsonl").exists()


def test_a_signal_that_is_ignored_stays_ignored(folder: Path) -> None:
    (folder / "hook").mkdir()
    (folder / "hook" / "sitecustomize.py").write_text(AT_IMPORT)
    environment = {"PYTHONPATH": "hook", "STOP_AT": "numpy", "STOP_BY": str(int(signal.SIGINT))}
    assert shell(folder, "trap '' INT; tithe select c.jsonl -o s.jsonl --size 9 --quiet", **environment) == (0, "", "")


def test_an_ascii_terminal_is_no_internal_error(folder: Path) -> None:
    for seed in (0, 1):
        command = f"tithe select c.jsonl -o {seed}.jsonl --size 9 --quiet --seed {seed}"
        assert shell(folder, command) == (0, "", "")
    code, out, err = shell(folder, "tithe diff 0.jsonl.manifest.json 1.jsonl.manifest.json", PYTHONIOENCODING="ascii")
    assert (code, err) == (0, "")
    assert r"option    seed: 0 \u2192 1" in out
