"""The documents: every option, command, key and file is in them, what they name exists, and what they show comes out."""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.benchmarks.__main__ import NAMES
from tests.benchmarks.document import DOCUMENT, markdown, measured, written
from tests.cli.test_help import COMMANDS
from tests.conftest import Tithe
from tests.demo import make_corpus
from tithe.selection.options.trainers import TRAINERS

ROOT = Path(__file__).parent.parent
README, MANUAL, METHOD = (ROOT / folder / "README.md" for folder in (".", "cli", "selection"))
DOCUMENTS = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (README, MANUAL, METHOD, DOCUMENT, *sorted((ROOT / ".github").glob("*.md")))
}
FOR_USERS = "".join(path.read_text(encoding="utf-8") for path in (README, MANUAL, METHOD))

# Options of other programs: ms-swift, the benchmarks.
OTHERS = {"--is", "--write", "--quick"}


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def test_options_that_are_named_exist_and_all_options_are_named() -> None:
    options = {
        name
        for command in COMMANDS.values()
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for name in (*parameter.opts, *parameter.secondary_opts)
        if name.startswith("--")
    }
    named, in_results = (
        set(re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]|--z\b", text)) - OTHERS
        for text in (FOR_USERS, DOCUMENT.read_text(encoding="utf-8"))
    )
    assert (sorted((named | in_results) - options - {"--help"}), sorted(options - named)) == ([], [])


def test_the_readme_is_short_and_has_all_commands() -> None:
    readme = README.read_text(encoding="utf-8")
    assert len(readme.splitlines()) <= 250
    assert [name for name in COMMANDS if f"tithe {' '.join(name)}" not in readme] == []


def test_all_trainers_and_all_keys_of_a_manifest_are_explained() -> None:
    manual, method = MANUAL.read_text(encoding="utf-8"), METHOD.read_text(encoding="utf-8")
    assert [name for name in TRAINERS if f"| `{name}` (" not in manual] == []
    (schema,) = (ROOT / "selection").rglob("manifest.schema.json")
    keys = {row.split("|")[1] for row in method[method.index("| key |") :].splitlines() if row.startswith("| `")}
    explained = {key for cell in keys for key in re.findall(r"`(\w+)`", cell)}
    assert explained == set(json.loads(schema.read_text(encoding="utf-8"))["properties"])


def anchors(text: str) -> set[str]:
    """What GitHub makes of the headings."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", DOCUMENTS[name]):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / name).parent / path if path else ROOT / name
        assert file.exists(), target
        assert not anchor or anchor in anchors(file.read_text(encoding="utf-8")), target


def test_the_picture_is_small() -> None:
    (picture,) = re.findall(r"!\[.*?\]\((.*?)\)", README.read_text(encoding="utf-8"))
    content = (ROOT / picture).read_bytes()
    assert content.startswith(b"\x89PNG") and len(content) < 200_000


def test_all_recipes_and_configurations_are_linked() -> None:
    manual = MANUAL.read_text(encoding="utf-8")
    there = [path.name for path in (ROOT / "tests" / "recipes").iterdir() if path.suffix not in (".py", "")]
    assert [name for name in ("Makefile", *there) if f"(../tests/recipes/{name})" not in manual] == []
    assert [path.name for path in (ROOT / "configs").iterdir() if f"(../configs/{path.name})" not in manual] == []


def shown_commands() -> list[str]:
    """The lines in blocks of commands, which are not run here, that call tithe."""
    text = README.read_text(encoding="utf-8") + MANUAL.read_text(encoding="utf-8")
    lines = [line.strip() for block in blocks(text, "sh") for line in block.splitlines()]
    lines += [line.strip() for line in re.findall(r"^    .*$", README.read_text(encoding="utf-8"), re.MULTILINE)]
    return [line for line in lines if re.search(r"(^|\| |RAY_ADDRESS=\S+ )tithe ", line)]


@pytest.mark.parametrize("line", shown_commands())
def test_commands_that_are_shown_are_commands(line: str) -> None:
    """Their words are options with values that these can have; what they name need not be here."""
    words = shlex.split(line, comments=True)
    words = words[words.index("tithe") + 1 :]
    words = words[: words.index(">")] if ">" in words else words
    name = tuple(words[:2]) if tuple(words[:2]) in COMMANDS else (words[0],)
    with COMMANDS[name].make_context(" ".join(name), words[len(name) :]) as context:
        assert context.params


# What a text shows may differ from what is printed in this: a line of dots stands for any lines, dots in a line for any
# part of it; time and memory are as they are; other numbers differ a little where floating point rounds otherwise.
NUMBER = r"\d[\d,]*(?:\.\d+)?"
OPEN = re.compile(
    rf"(?P<lines>^\.\.\.\n)|(?P<dots>\.\.\.)|(?P<measured>{NUMBER} (?:s|B|KiB|MiB|GiB)\b)|(?P<number>(?<![\w.]){NUMBER})",
    re.MULTILINE,
)
PATTERNS = {"lines": r"(?:.*\n)*", "dots": ".*", "measured": rf"{NUMBER} (?:s|B|KiB|MiB|GiB)", "number": f"({NUMBER})"}
TOLERANCE = 0.1


def assert_alike(shown: str, printed: str) -> None:
    pattern, numbers, at = "", [], 0
    for found in OPEN.finditer(shown):
        assert found.lastgroup is not None
        pattern += re.escape(shown[at : found.start()]) + PATTERNS[found.lastgroup]
        numbers += [found[0]] if found.lastgroup == "number" else []
        at = found.end()
    match = re.fullmatch(pattern + re.escape(shown[at:]), printed)
    assert match is not None, f"shown:\n{shown}\nprinted:\n{printed}"
    for ours, theirs in zip(numbers, match.groups(), strict=True):
        value, last_digit = float(ours.replace(",", "")), 10.0 ** -len(ours.partition(".")[2])
        assert abs(float(theirs.replace(",", "")) - value) <= TOLERANCE * value + last_digit, (ours, theirs, printed)


def test_what_the_documents_show_comes_out(
    tithe: Tithe, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One block after the other, in one folder, the manual after the README."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(sys, "argv", ["make_corpus.py", str(tmp_path / "corpus.jsonl")])
    make_corpus.main()
    (tmp_path / "score.py").write_bytes((ROOT / "tests" / "demo" / "score.py").read_bytes())
    text = README.read_text(encoding="utf-8") + MANUAL.read_text(encoding="utf-8")
    steps = [step for block in blocks(text, "console") for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    assert len(steps) > 15
    for step in steps:
        command, _, shown = step.partition("\n")
        if command.startswith("tithe "):
            ran = tithe(*shlex.split(command)[1:])
            printed = (ran.err + ran.out).replace(str(cache), "/home/you/.cache/tithe")
        else:
            done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=True)
            printed = done.stderr + done.stdout
        assert_alike(shown, printed)


def test_what_is_alike_and_what_is_not() -> None:
    assert_alike("a 1.00 b\nin 2.3 s\n", "a 1.05 b\nin 9 s\n")
    assert_alike("a\n...\nc ... e\n...\n", "a\nb\nc d e\nf\n")
    for shown, printed in (
        ("a 1\n", "a 3\n"),
        ("a\n", "a\nb\n"),
        ("a\nb\n", "a\n"),
        ("a\n...\nc\n", "a\nb\n"),
        ("a\n...\nc\n", "a\nc\nd\n"),
        ("", "x\n"),
    ):
        with pytest.raises(AssertionError):
            assert_alike(shown, printed)


def test_the_example_of_a_regression_runs(tithe: Tithe, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    columns = {name: rng.random(3000) for name in "abc"}
    target = 1 + columns["a"] + 2 * columns["b"] + 3 * columns["c"]
    pq.write_table(pa.table({**columns, "y": target}), tmp_path / "rows.parquet")
    manual = MANUAL.read_text(encoding="utf-8")
    (command,) = (block for block in blocks(manual, "sh") if "--task regression" in block)
    assert tithe(*shlex.split(command)[1:]).code == 0
    (example,) = (block for block in blocks(manual, "python") if "lstsq" in block)
    names: dict = {}
    exec(example, names)
    np.testing.assert_allclose(names["coefficients"], [1, 1, 2, 3])


def test_the_trainer_of_the_manual_is_the_one_that_the_tests_run() -> None:
    (shown,) = (block for block in blocks(MANUAL.read_text(encoding="utf-8"), "python") if "WeightedTrainer" in block)
    tested = (ROOT / "tests" / "demo" / "weighted_trainer.py").read_text(encoding="utf-8")
    assert bare_class(shown) == bare_class(tested)


def bare_class(source: str) -> str:
    """The class in a text, without annotations and docstrings."""
    (class_,) = (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef))
    for node in ast.walk(class_):
        if isinstance(node, ast.arg):
            node.annotation = None
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            if isinstance(node, ast.FunctionDef):
                node.returns = None
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                del node.body[0]
    return ast.dump(class_)


RESULTS = DOCUMENTS[DOCUMENT.relative_to(ROOT).as_posix()]


def test_results_are_of_benchmarks_and_say_what_they_were_measured_on() -> None:
    parts = re.findall(r"<!-- measured: (\w+) -->\n(.*?)\n<!-- end: (\w+) -->", RESULTS, re.DOTALL)
    assert len(parts) == RESULTS.count("<!-- measured") > 10
    for name, part, end in parts:
        assert name == end and name in NAMES
        assert f"## `{name}`\n\n<!-- measured: {name} -->" in RESULTS
        assert part.startswith(
            textwrap.dedent(importlib.import_module(f"tests.benchmarks.{name}").__doc__ or "").strip()
        )
        assert re.search(r"^\|[-|]+\|\n\| ", part, re.MULTILINE), name
        assert re.search(
            rf"\n\n.+ · \d{{4}}-\d\d-\d\d · `python -m tests\.benchmarks {name}( --quick)? --write`$", part
        )
    assert set(re.findall(r"^## `(\w+)`$", RESULTS, re.MULTILINE)) <= set(NAMES)
    assert re.findall(r"^## .*\n+(?=## |\Z)", RESULTS, re.MULTILINE) == []


def test_a_run_replaces_its_own_part_of_the_results_only() -> None:
    table = [{"records": 1000, "seconds": 0.5}, {"records": 2000, "seconds": 123.4}]
    assert markdown(table) == "| records | seconds |\n|---|---|\n| 1,000 | 0.50 |\n| 2,000 | 123 |"
    part = measured("What.\n", [table], machine="a CPU", day="2026-01-02", command="run \\1")
    for name in ("append", "engines", "another"):  # with a part, without one, and without a section
        once = written(RESULTS, name, part)
        assert f"## `{name}`\n\n<!-- measured: {name} -->\n{part}\n<!-- end: {name} -->\n" in once
        assert written(once, name, part) == once
        assert without_part(once, name).startswith(without_part(RESULTS, name))


def without_part(text: str, name: str) -> str:
    return re.sub(rf"<!-- measured: {name} -->.*?<!-- end: {name} -->\n+", "", text, flags=re.DOTALL)
