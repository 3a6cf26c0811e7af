"""What CONTRIBUTING shows as one file and one line is no more than that: put into a copy of the tree, it works."""

from __future__ import annotations

import ast
import gzip
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.conftest import make_records, write_jsonl
from tithe.embedders.registry import BUILT_IN
from tithe.selection.corpus.formats import INPUT_FORMATS
from tithe.selection.losses.registry import LOSSES
from tithe.selection.options.trainers import TRAINERS
from tithe.selection.sampling.registry import SAMPLERS
from tithe.selection.scoring.registry import METHODS
from tithe.selection.subset.exporters.registry import EXPORTERS
from tithe.selection.subset.weight_shapes.registry import WEIGHT_SHAPES

ROOT = Path(__file__).parent.parent
FOLDERS = ("cli", "selection", "embedders")
TEXT = (ROOT / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")

# Of whole files; ruff formats what is marked as Python, and a line alone is none.
FILE, LINES = r"\n\n```python\n(.*?)```\n", r"\n\n```\n(.*?)```\n"


@dataclass(frozen=True)
class Step:
    """A section of CONTRIBUTING: what is added, and the command that uses it."""

    kind: str
    text: str

    @property
    def files(self) -> list[tuple[str, str]]:
        """New files, by their paths."""
        return re.findall(rf"File `([^`]+)`:{FILE}", self.text, re.DOTALL)

    @property
    def lines(self) -> list[tuple[str, str, str, str]]:
        """Lines for files that exist: path, the list of which they are the last, or the text before which they come."""
        where = r"Line in `([^`]+)`, (?:the last of\s`([^`]+)`|before `([^`]+)`):"
        return re.findall(rf"{where}{LINES}", self.text, re.DOTALL)

    @property
    def command(self) -> list[str]:
        (command,) = re.findall(r"^    tithe (.*)$", self.text, re.MULTILINE)
        return shlex.split(command)

    @property
    def output(self) -> str:
        return self.command[self.command.index("-o") + 1]


def steps() -> Iterator[Step]:
    section = TEXT.partition("## One file and one line")[2].partition("\n## ")[0]
    for text in section.split("\n### ")[1:]:
        yield Step(text.partition("\n")[0], text)


STEPS = {step.kind: step for step in steps()}


def added(source: str, last_of: str, before: str, lines: str) -> str:
    """A source file with lines more."""
    if last_of:
        start = re.search(rf"^{re.escape(last_of)}\b.*\($", source, re.MULTILINE)
        assert start is not None, last_of
        at = source.index("\n)\n", start.end()) + 1
    else:
        at = source.index(f"\n{before}") + 1
    return source[:at] + lines + source[at:]


# Runs commands in one process, and prints how each ended.
SCRIPT = """
import contextlib, io, json, sys
from tithe.cli.main import main

for arguments in json.load(sys.stdin):
    said, printed = io.TextIOWrapper(io.BytesIO()), io.TextIOWrapper(io.BytesIO())
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(printed):
        try:
            main(arguments)
        except SystemExit as end:
            code = end.code
    texts = [stream.buffer.getvalue().decode() for stream in (printed, said)]
    print(json.dumps([code, *texts]), file=sys.__stdout__)
"""


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Extended:
    """A copy of the tree with all that CONTRIBUTING adds, and what commands did with it."""

    folder: Path
    ran: dict[tuple[str, ...], Ran]


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Extended:
    folder = tmp_path_factory.mktemp("extended")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / "tithe" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for step in STEPS.values():
        for path, text in step.files:
            assert not (ROOT / path).exists()
            (folder / "tithe" / path).write_text(text, encoding="utf-8")
        for path, last_of, before, lines in step.lines:
            target = folder / "tithe" / path
            target.write_text(added(target.read_text(encoding="utf-8"), last_of, before, lines), encoding="utf-8")
    records = make_records(400)
    write_jsonl(folder / "corpus.jsonl", records)
    table = "".join(f"{record['id']}\t{record['text']}\n" for record in records)
    (folder / "corpus.tsv.gz").write_bytes(gzip.compress(f"id\ttext\n{table}".encode()))
    commands = [("select", "--help"), ("encoders",)]
    for step in STEPS.values():
        replayed = ("replay", f"{step.output}.manifest.json")
        commands += [tuple(step.command), ("verify", f"{step.output}.manifest.json"), replayed]
    commands += [("select", "corpus.jsonl", "-o", "few.parquet", "--fewest", "1000")]
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT],
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "XDG_CACHE_HOME": str(folder / "cache"), "COLUMNS": "80"},
    )
    assert run.returncode == 0, run.stderr
    ended = [Ran(*json.loads(line)) for line in run.stdout.splitlines()]
    return Extended(folder, dict(zip(commands, ended, strict=True)))


def manifest(extended: Extended, step: Step) -> dict[str, Any]:
    return json.loads((extended.folder / f"{step.output}.manifest.json").read_bytes())


@pytest.mark.parametrize("kind", STEPS)
def test_each_is_at_most_one_new_file_and_one_other(kind: str) -> None:
    step = STEPS[kind]
    changed = {path for path, *_ in step.lines}
    assert len(step.files) + len(changed) <= 2
    assert changed and all((ROOT / path).is_file() for path in changed)
    assert kind == "An option" or sum(len(lines.splitlines()) for *_, lines in step.lines) == 1


@pytest.mark.parametrize("kind", STEPS)
def test_each_selects_and_is_verified_and_replayed(extended: Extended, kind: str) -> None:
    step = STEPS[kind]
    ran = extended.ran[tuple(step.command)]
    assert (ran.code, ran.out) == (0, ""), ran.err
    for command in ("verify", "replay"):
        again = extended.ran[(command, f"{step.output}.manifest.json")]
        assert again.code == 0, again.out + again.err


def test_the_kinds_are_all_there() -> None:
    assert [kind.split(maxsplit=1)[1] for kind in STEPS] == [
        *("sampler", "weight shape", "output format", "method", "reader", "loss source", "encoder", "trainer", "option")
    ]


def test_the_help_names_them(extended: Extended) -> None:
    help_ = " ".join(extended.ran[("select", "--help")].out.split())
    for words in (
        *("[pivotal|simple|iid|systematic]", "at equal steps along the clusters", "rounded up", ".jsonl.zst, .arrow"),
        *("auto|outlying]", "by their distance alone", "[parquet|jsonl|tsv]", "length:FIELD, or module:attribute"),
        *("sklearn, ours", "--fewest N Fail where fewer records can be used."),
    ):
        assert words in help_
    assert "letters" in extended.ran[("encoders",)].out


def test_the_manifest_has_what_they_say(extended: Extended) -> None:
    found = {kind.split(maxsplit=1)[1]: manifest(extended, step) for kind, step in STEPS.items()}
    assert found["sampler"]["options"]["sampler"] == "systematic"
    assert found["weight shape"]["subset"]["weights_as"] == "whole"
    assert found["weight shape"]["subset"]["lines"] > 60
    assert found["method"]["method"]["mean_spread"] > 0
    assert found["reader"]["inputs"][0]["format"] == "tsv"
    assert found["loss source"]["loss"] == {"source": "length", "counted": "text"}
    assert found["encoder"]["encoder"]["name"] == "letters"
    assert found["trainer"]["options"]["for"] == "ours"
    assert found["option"]["options"]["fewest"] == 100


def test_the_new_format_holds_the_subset(extended: Extended) -> None:
    table = pa.ipc.open_file((extended.folder / "exported.arrow").read_bytes()).read_all()
    assert (table.num_rows, table.column_names) == (60, ["id", "text", "loss", "topic", "weight"])


def test_the_new_option_does_what_it_says(extended: Extended) -> None:
    ran = extended.ran[("select", "corpus.jsonl", "-o", "few.parquet", "--fewest", "1000")]
    assert (ran.code, ran.err.splitlines()[-1]) == (2, "tithe: --fewest 1,000: there are 400 usable records")


def test_the_files_of_the_table_are_there() -> None:
    table = TEXT.partition("## Where to change what")[2]
    rows = [line for line in table.splitlines() if line.startswith("| ") and "---" not in line][1:]
    assert len(rows) == 12
    for path in re.findall(r"`([^`]+)`", table):
        assert (ROOT / path).exists(), path


# Names that mean something else, too.
AMBIGUOUS = {"auto", "file", "model", "none"}


def test_nobody_asks_which_of_a_registry_it_is() -> None:
    registries = (SAMPLERS, METHODS, WEIGHT_SHAPES, EXPORTERS, INPUT_FORMATS, LOSSES, BUILT_IN, TRAINERS)
    names = {name for registry in registries for name in registry} - AMBIGUOUS
    asked = {
        f"{path.relative_to(ROOT)}: {ast.unparse(node)}"
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Compare)
        for side in (node.left, *node.comparators)
        for value in (side.elts if isinstance(side, ast.Tuple | ast.List | ast.Set) else [side])
        if isinstance(value, ast.Constant) and value.value in names
    }
    assert asked == set(), "let the class say it, so that another one can"
