"""Manifests and tables that a stranger made, under seals and hashes that fit: a line and an exit code, never a crash."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import Ran, Tithe
from tests.manifests import changed, places, resealed, seal, value_at, without
from tests.selections import make
from tithe.selection.errors import TitheError
from tithe.selection.review.reach import Reach
from tithe.selection.review.record import read_record

COMMANDS: dict[str, tuple[str, ...]] = {
    "verify": ("verify", "{}", "--allow-code"),
    "replay": ("replay", "{}", "--allow-code"),
    "explain": ("explain", "{}", "--row", "3", "--allow-code"),
    "diff": ("diff", "{}", "{}"),
    "report": ("report", "{}", "-o", "r.html", "--force"),
}

# Of all changes to a manifest so many are read; of those that get through the door, so many are given to every command.
READ, TRIED = 700, 6

# What stands for a value that Python cannot write.
LITERALS = {"<infinite>": "1e999", "<huge>": "1" + "0" * 400, "<nan>": "NaN", "<half>": r'"\ud800"'}

OTHERS: tuple[Any, ...] = (
    None, True, 0, 1, -1, 7, 2**53, -(2**63), 0.5, -0.5, 1e-320, 1.5e308, "", "x", "..", "/dev/null", "a\0b",
    "\x1b[2J\x07\u009b2J", "9" * 5000, "a/" * 3000, [], [[]], {}, {"a": 1}, *LITERALS,
)  # fmt: skip


def tidy(ran: Ran, code: tuple[int, ...] = (0, 1, 2, 3)) -> str | None:
    """What is wrong with how a command ended; None: nothing."""
    if ran.code not in code:
        return f"exit {ran.code}: {ran.err}"
    lines = ran.err.splitlines()
    if ran.code in (1, 2) and not ran.out and (len(lines) < 1 or not lines[-1].startswith("tithe: ")):
        return f"no line: {ran.err!r}"
    if "internal error" in ran.err or "Traceback" in ran.err:
        return ran.err
    return None


def deep() -> Any:
    found: Any = 1
    for _ in range(400):
        found = [found]
    return found


def mutants(manifest: dict[str, Any]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Every value in turn as something else, or gone: what that is called, and the arguments of `changed` or `without`."""
    for at in places(manifest):
        if at[:1] == ("sha256",):
            continue
        name = ".".join(map(str, at))
        for other in (*OTHERS, deep()):
            if type(other) is not type(value_at(manifest, at)) or other != value_at(manifest, at):
                yield f"{name} = {other!r:.40}", (at, other)
        if at:
            yield f"{name} is gone", (at,)


@pytest.mark.parametrize("case", ["losses of a file", "groups", "nested", "tokens", "regression"])
def test_no_value_of_a_manifest_breaks_a_command(tithe: Tithe, tmp_path: Path, case: str) -> None:
    made = make(tithe, case, tmp_path)
    manifest, chance = json.loads(made.manifest.read_bytes()), random.Random(case)
    wrong, through = [], []
    for what, change in chance.sample([*mutants(manifest)], READ):
        seal(made.manifest, changed(manifest, *change) if len(change) == 2 else without(manifest, *change), LITERALS)
        try:
            read_record(made.manifest, Reach.of(made.manifest))
            through.append((what, made.manifest.read_bytes()))
        except TitheError as error:
            wrong += [f"{what}: {error}" for _ in [0] if not str(error).isprintable() or len(str(error)) > 1000]
    # What is free to be anything, such as a text or a number that is only shown, gets through the door.
    for what, content in chance.sample(through, TRIED):
        made.manifest.write_bytes(content)
        for name, arguments in COMMANDS.items():
            fault = tidy(tithe(*(part.format(made.manifest) for part in arguments)))
            wrong += [f"{what}: {name}: {fault}"] if fault else []
    assert wrong == []
    assert len(through) < READ / 4


def as_column(table: pa.Table, name: str, values: Any) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, values)


def with_value(name: str, value: Any) -> Callable[[pa.Table], pa.Table]:
    """Another value in the third row."""

    def change(table: pa.Table) -> pa.Table:
        values = table[name].to_pylist()
        return as_column(table, name, pa.array([*values[:2], value, *values[3:]], table[name].type))

    return change


TABLES: dict[str, tuple[str, Callable[[pa.Table], pa.Table]]] = {
    "rows: none": ("rows", lambda table: table.slice(0, 0)),
    "rows: no weight": ("rows", lambda table: table.drop_columns("weight")),
    "rows: a column more": ("rows", lambda table: table.append_column("more", table["weight"])),
    "rows: a column twice": ("rows", lambda table: table.append_column("weight", table["weight"])),
    "rows: weights of text": ("rows", lambda table: as_column(table, "weight", table["weight"].cast(pa.string()))),
    "rows: lists": ("rows", lambda table: as_column(table, "row", pa.array([[1]] * len(table)))),
    "rows: null": ("rows", with_value("weight", None)),
    "rows: 0": ("rows", with_value("weight", 0.0)),
    "rows: nan": ("rows", with_value("weight", np.nan)),
    "rows: infinite": ("rows", with_value("weight", np.inf)),
    "rows: beyond": ("rows", with_value("row", 2**62)),
    "rows: negative": ("rows", with_value("row", -5)),
    "rows: twice": ("rows", lambda table: pa.concat_tables([table, table])),
    "rows: no such cluster": ("rows", with_value("cluster", 2**31 - 1)),
    "rows: cluster below": ("rows", with_value("cluster", -1)),
    "clusters: none": ("clusters", lambda table: table.slice(0, 0)),
    "clusters: one less": ("clusters", lambda table: table.slice(1)),
    "clusters: no losses": ("clusters", lambda table: table.drop_columns("loss")),
    "clusters: no records": ("clusters", with_value("records", 0)),
    "clusters: null": ("clusters", with_value("x", None)),
}
"""Changes to the rows and the clusters file that every command refuses."""


@pytest.mark.parametrize("case", TABLES)
def test_tables_that_tithe_does_not_write_are_refused(tithe: Tithe, tmp_path: Path, case: str) -> None:
    made = make(tithe, "plain", tmp_path)
    which, change = TABLES[case]
    path = made.rows if which == "rows" else made.clusters
    pq.write_table(change(pq.read_table(path)), path)
    resealed(made)
    codes = {"verify": 3, "replay": 3, "explain": 1, "diff": 1, "report": 1}
    for name, arguments in COMMANDS.items():
        if (name, which) == ("diff", "clusters"):
            continue  # reads the rows file only
        ran = tithe(*(part.format(made.manifest) for part in arguments))
        assert (ran.code, tidy(ran)) == (codes[name], None), (name, ran)


def test_bytes_that_are_no_table_are_refused(tithe: Tithe, tmp_path: Path) -> None:
    made = make(tithe, "plain", tmp_path)
    content = made.rows.read_bytes()
    for other in (b"", b"PAR1", content[: len(content) // 2], content[:100] + b"x" * 200 + content[300:]):
        made.rows.write_bytes(other)
        resealed(made)
        for name, arguments in COMMANDS.items():
            ran = tithe(*(part.format(made.manifest) for part in arguments))
            assert (ran.code in (1, 3), tidy(ran)) == (True, None), (name, ran)


CONTRADICTIONS: dict[str, tuple[str, dict[str, Any], str]] = {
    "tokens without": ("plain", {"options.tokens": 900, "options.size": None}, "tokens: is missing"),
    "no tokens": ("tokens", {"tokens": None}, "tokens: is missing"),
    "groups without": ("plain", {"options.group_by": "topic"}, "groups: is missing"),
    "nested without": ("nested", {"nested": None}, "nested: is missing"),
    "nested elsewhere": ("nested", {"nested.subset": "s.jsonl"}, "is not what the options call the subset"),
    "copies without": ("plain", {"options.dedup": True}, "duplicates: is missing"),
    "more rows": ("plain", {"inputs.0.rows": 2**40}, "rows: is not the sum"),
    "more records": ("plain", {"n": 601}, "n: is not rows"),
    "more clusters": ("plain", {"k": 601}, "k: is more than n"),
    "output up": ("plain", {"options.output": "x/..", "options.shards": True, "options.engine": "ray"}, "is not what"),
    "output none": ("plain", {"options.output": "-"}, "options.output: is -"),
    "output of no format": ("plain", {"options.output": "s.txt"}, "the output's name must end in"),
    "tables elsewhere": ("plain", {"outputs.1.path": "s.parquet"}, "are not the rows and the clusters file"),
    "no lines": ("plain", {"outputs.0": {"path": "s.parquet", "size": 1, "sha256": "0" * 64}}, "how many lines"),
    "bins": ("losses of a file", {"evidence.losses.edges": [1.0]}, "edges and counts do not belong together"),
    "bins that go back": ("losses of a file", {"evidence.losses.edges.0": 1e9}, "edges and counts do not belong"),
    "a quantile": ("losses of a file", {"evidence.validation.holder": {"x": 1.0}}, "is not written as it should be"),
    "a trainer": ("plain", {"options.for": "nobody"}, "options.for: is none of trl, "),
    "options": ("plain", {"options.rank": 3}, "options: --method sensitivity: has no use for --rank"),
    "a name": ("plain", {"options.inputs": ["a\0b"]}, "is no name of a file"),
    "a long name": ("plain", {"run.folder": "a/" * 100_000}, "is no name of a file"),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_values_that_contradict_each_other_are_refused_by_every_command(
    tithe: Tithe, tmp_path: Path, name: str
) -> None:
    case, values, said = CONTRADICTIONS[name]
    made = make(tithe, case, tmp_path)
    document = json.loads(made.manifest.read_bytes())
    for path, value in values.items():
        document = changed(document, tuple(int(step) if step.isdigit() else step for step in path.split(".")), value)
    seal(made.manifest, document)
    for arguments in COMMANDS.values():
        ran = tithe(*(part.format(made.manifest) for part in arguments))
        assert (ran.code, ran.out, ran.err.count("\n"), said in ran.err) == (1, "", 1, True), ran
