"""Losses by the user's own code: functions, objects and classes, and what they may do wrong."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from tests.conftest import Ran, Tithe, make_records, read_jsonl, write_jsonl
from tithe.selection.losses import registry

BUDGET = ("--clusters", "12", "--size", "40")

SCORERS = """
def function(records):
    return [record["loss"] for record in records]

class Class:
    def losses(self, records):
        return function(records)

instance = Class()

def short(records):
    return [1.0]

def nan(records):
    return [float("nan")] * len(records)

def negative(records):
    return [-1.0] * len(records)

def broken(records):
    raise ValueError("no GPU left")

number = 3
"""


@pytest.fixture
def scorers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A module of its own for each test: Python keeps the modules that it has imported."""
    name = f"scorers_{abs(hash(request.node.nodeid))}"
    (tmp_path / f"{name}.py").write_text(SCORERS)
    monkeypatch.syspath_prepend(tmp_path)
    write_jsonl(tmp_path / "c.jsonl", make_records(400))
    return name


def select(tithe: Tithe, loss: str, output: str = "s.jsonl") -> Ran:
    return tithe("select", "c.jsonl", "-o", output, *BUDGET, "--loss", loss)


@pytest.mark.parametrize("attribute", ["function", "Class", "instance", "instance.losses"])
def test_own_code_gives_the_subset_that_the_column_gives(
    tithe: Tithe, scorers: str, tmp_path: Path, attribute: str
) -> None:
    assert select(tithe, "column:loss", "column.jsonl").code == 0
    ran = select(tithe, f"{scorers}:{attribute}")
    assert ran.code == 0, ran.err
    assert read_jsonl(tmp_path / "s.jsonl") == read_jsonl(tmp_path / "column.jsonl")
    manifest = json.loads((tmp_path / "s.jsonl.manifest.json").read_text())
    assert manifest["loss_queries"] == manifest["k"] == 12


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("short", "12"),
        ("nan", "c.jsonl, line"),
        ("negative", "must be finite and not negative"),
        ("broken", "ValueError: no GPU left"),
    ],
)
def test_what_own_code_does_wrong_ends_in_one_line(
    tithe: Tithe, scorers: str, tmp_path: Path, attribute: str, message: str
) -> None:
    ran = select(tithe, f"{scorers}:{attribute}")
    assert (ran.code, message in ran.err.splitlines()[-1]) == (1, True), ran.err
    assert not (tmp_path / "s.jsonl").exists()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nowhere_at_all:function", "there is no module 'nowhere_at_all'"),
        ("{}:missing", "has no 'missing'"),
        ("{}:number", "--loss"),
    ],
)
def test_what_is_not_there_is_said(tithe: Tithe, scorers: str, spec: str, message: str) -> None:
    ran = select(tithe, spec.format(scorers))
    assert (ran.code in (1, 2), message in ran.err.splitlines()[-1]) == (True, True), ran.err
    assert "internal error" not in ran.err


def test_an_installed_package_offers_losses(
    tithe: Tithe, scorers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"{scorers}_plugin.py").write_text(
        "def make(argument):\n    return lambda records: [record[argument] for record in records]\n"
    )
    point = EntryPoint("field", f"{scorers}_plugin:make", registry.ENTRY_POINTS)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == registry.ENTRY_POINTS else [])
    assert select(tithe, "column:loss", "column.jsonl").code == 0
    ran = select(tithe, "field:loss")
    assert ran.code == 0, ran.err
    assert read_jsonl(tmp_path / "s.jsonl") == read_jsonl(tmp_path / "column.jsonl")
