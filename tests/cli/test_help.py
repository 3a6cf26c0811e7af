"""Help texts: all fit a terminal of 80 columns, and those of the small commands are what tests/golden holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Tithe

GOLDEN = Path(__file__).parent.parent / "golden"
COMMANDS = (
    (),
    ("select",),
    ("centers",),
    ("report",),
    ("encoders",),
    ("verify",),
    ("replay",),
    ("diff",),
    ("explain",),
)


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
