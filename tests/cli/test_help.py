"""Help texts: all fit a terminal of 80 columns, and those of the small commands are what tests/golden holds."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import Tithe, make_records, write_jsonl
from tithe.cli.main import tithe as root

GOLDEN = Path(__file__).parent.parent / "golden"


def commands(
    command: click.Command = root, name: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """All commands by the words that call them, groups among them."""
    yield name, command
    if isinstance(command, click.Group):
        for part, inner in command.commands.items():
            yield from commands(inner, (*name, part))


COMMANDS = dict(commands())


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """What click takes the width from: help must be the same wherever the tests run, and fit where it could be wider."""
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(("tithe", *command)))
def test_help_fits_80_columns(tithe: Tithe, command: tuple[str, ...]) -> None:
    ran = tithe(*command, "--help")
    assert ran.code == 0
    assert ran.out.startswith(" ".join(("Usage: tithe", *command)))
    assert [line for line in ran.out.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("command", ["report", "encoders"])
def test_help_reads_as_it_did(tithe: Tithe, command: str) -> None:
    # After a change that is meant: tithe COMMAND --help > tests/golden/COMMAND.txt
    assert tithe(command, "--help").out == (GOLDEN / f"{command}.txt").read_text(encoding="utf-8")


def examples(command: click.Command) -> list[str]:
    """The lines of a command's help that begin with tithe, or pipe into it."""
    lines = [line.strip() for line in (command.help or "").splitlines()]
    return [line for line in lines if line.startswith("tithe ") or "| tithe " in line]


EXAMPLES = [example for command in COMMANDS.values() for example in examples(command)]


def test_every_command_shows_an_example() -> None:
    without = [
        name for name, command in COMMANDS.items() if not isinstance(command, click.Group) and not examples(command)
    ]
    assert without == [("cache", "list"), ("cache", "verify"), ("encoders",)]  # `tithe encoders` says it all


@pytest.fixture
def files(tithe: Tithe, tmp_path: Path) -> None:
    """What the examples name."""
    records = make_records(1300)
    write_jsonl(tmp_path / "corpus.jsonl", records)
    (tmp_path / "data").mkdir()
    write_jsonl(tmp_path / "data" / "c.jsonl", records)
    write_jsonl(tmp_path / "l.jsonl", [{"row": i, "loss": record["loss"]} for i, record in enumerate(records)])
    table = pa.table({"a": [record["id"] for record in records], "y": [record["loss"] for record in records]})
    pq.write_table(table, tmp_path / "t.parquet")
    for name, seed in (("subset", 0), ("old", 0), ("new", 1)):
        assert tithe("select", "corpus.jsonl", "-o", f"{name}.parquet", "--seed", seed).code == 0
    (tmp_path / "out").mkdir()
    assert tithe("select", "data", "-o", "out/subset.parquet").code == 0


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_of_the_help_run(tithe: Tithe, files: None, tmp_path: Path, example: str) -> None:
    command, _, target = example.rpartition("| ")[2].partition(" > ")
    arguments = shlex.split(command)[1:]
    if arguments[0] in ("select", "centers", "replay"):
        arguments.append("--force")
    ran = tithe(*arguments, stdin=(tmp_path / "corpus.jsonl").read_bytes() if "| " in example else b"")
    assert ran.code == 0, ran.err
    assert bool(target) <= (len(ran.out.splitlines()) == 1000)
