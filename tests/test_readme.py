"""The README: every option exists, every option is there, and the recipes are those that the tests run."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from tests.cli.test_help import COMMANDS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")

# Options of other programs: ms-swift, the benchmarks, dvc.
OTHERS = {"--is", "--readme"}


def test_options_of_the_readme_exist_and_all_options_are_in_it() -> None:
    options = {
        name
        for command in COMMANDS.values()
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for name in (*parameter.opts, *parameter.secondary_opts)
        if name.startswith("--")
    }
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]|--z\b", README)) - OTHERS
    assert (sorted(named - options - {"--help"}), sorted(options - named)) == ([], [])


def test_all_commands_are_in_it() -> None:
    assert [name for name in COMMANDS if f"tithe {' '.join(name)}" not in README] == []


@pytest.mark.parametrize("name", ["Makefile", "dvc.yaml", "github.yml", "gitlab.yml", "pre-commit.yaml"])
def test_recipes_are_those_that_the_tests_run(name: str) -> None:
    assert (ROOT / "tests" / "recipes" / name).read_text(encoding="utf-8") in README
