"""Whatever a text of ours tells a user to type exists; and what a run tells them to type runs."""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_help import COMMANDS
from tests.conftest import Tithe, make_records, write_jsonl

ROOT = Path(__file__).parent.parent.parent
BUDGET = ("--clusters", "12", "--size", "60")

OPTIONS = {
    name for command in COMMANDS.values() for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)
} | {"--help", "--version"}  # fmt: skip


def texts(path: Path) -> Iterator[str]:
    """The strings in a file's code that are no docstrings; help texts of commands are docstrings, and tested as such."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documentation = {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in documentation:
            yield node.value


FILES = [path for folder in ("cli", "selection", "embedders") for path in sorted((ROOT / folder).rglob("*.py"))]
PAGE = ROOT / "selection" / "review" / "report" / "page.html.j2"


def test_options_and_commands_in_messages_exist() -> None:
    said = [(path, text) for path in FILES for text in texts(path)]
    said += [(PAGE, re.sub(r"<style>.*?</style>", "", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL))]
    options, commands = set(), set()
    for path, text in said:
        for name in re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z](?![\w-])", text):
            assert name in OPTIONS or f"{name}=" in text, (path, name)
            options.add(name)
        for name in re.findall(r"(?:^|[`';:( ])tithe ((?:cache )?[a-z]+)", text):
            if name.split()[0] in root_commands():
                commands.add(name)
    assert {"--force", "--allow-read", "--work-dir", "--on-bad-record", "--validate"} <= options
    assert commands <= {" ".join(name) for name in COMMANDS}


def root_commands() -> set[str]:
    return {name[0] for name in COMMANDS if name}


@pytest.mark.parametrize("command", ["select", "verify", "cache prune"])
def test_the_help_that_an_error_points_to_is_there(tithe: Tithe, command: str) -> None:
    ran = tithe(*command.split(), "--no-such-option")
    (pointer,) = re.findall(r"\(see (tithe .*?)\)", ran.err)
    assert (ran.code, tithe(*pointer.split()[1:]).code) == (2, 0)


def test_what_messages_advise_helps(tithe: Tithe, corpus: Path, tmp_path: Path) -> None:
    select = ("select", "corpus.jsonl", "-o", "s.jsonl", *BUDGET, "--loss", "column:loss")
    first = tithe(*select)
    assert "--score-subset or --validate gives one" in first.err
    ran = tithe(*select)
    assert "exists already; --force overwrites it" in ran.err
    ran = tithe(*select, "--force", "--score-subset")
    assert (ran.code, "with 95% confidence" in ran.err or "--score-subset" not in ran.err) == (0, True)

    (tmp_path / "bad.jsonl").write_bytes(b"{\n" + corpus.read_bytes())
    ran = tithe("select", "bad.jsonl", "-o", "b.jsonl", *BUDGET)
    (advice,) = re.findall(r"\((--on-bad-record skip) leaves", ran.err)
    assert tithe("select", "bad.jsonl", "-o", "b.jsonl", *BUDGET, *advice.split()).code == 0

    (tmp_path / "data").mkdir()
    write_jsonl(tmp_path / "data" / "c.txt", make_records(100))
    ran = tithe("select", "data", "-o", "d.jsonl", *BUDGET)
    assert "--format reads others" in ran.err
    assert tithe("select", "data", "-o", "d.jsonl", *BUDGET, "--format", "jsonl").code == 0

    told = tithe("centers", "corpus.jsonl", "-o", "centers.jsonl", *BUDGET)
    assert "select with --loss file:PATH" in told.err
    scored = [json.loads(line) for line in (tmp_path / "centers.jsonl").read_text().splitlines()]
    write_jsonl(tmp_path / "l.jsonl", [{"row": record["row"], "loss": record["loss"]} for record in scored])
    assert tithe("select", "corpus.jsonl", "-o", "f.jsonl", *BUDGET, "--loss", "file:l.jsonl").code == 0

    assert "estimated, 4 characters each; --tokenizer counts them" in tithe(
        "select", "corpus.jsonl", "-o", "t.jsonl", "--tokens", "900"
    ).err  # fmt: skip
    assert tithe("select", "corpus.jsonl", "-o", "e.jsonl", *BUDGET, "--seed", "9").code == 0
    ran = tithe("diff", "s.jsonl", "e.jsonl")
    assert "more; --json names all" in ran.out
    assert len(json.loads(tithe("diff", "s.jsonl", "e.jsonl", "--json").out)["records"]["out"]) > 5


def test_code_runs_as_a_refusal_says(tithe: Tithe, corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def losses(records):\n    return [1.0 for _ in records]\n")
    assert tithe("select", corpus, "-o", "o.jsonl", *BUDGET, "--loss", "own:losses").code == 0
    ran = tithe("replay", "o.jsonl")
    (advice,) = re.findall(r"(--allow-code) runs it", ran.err)
    assert (ran.code, tithe("replay", "o.jsonl", *shlex.split(advice)).code) == (1, 0)
