"""The manual page says what the help says."""

from __future__ import annotations

import shutil
import subprocess

import click
import pytest

from tests.cli.test_help import COMMANDS
from tithe.cli.main import tithe as root
from tithe.cli.man import manual


def test_every_command_and_option_is_in_it() -> None:
    page = manual(root, "tithe").replace(r"\-", "-")
    for name, command in COMMANDS.items():
        if not isinstance(command, click.Group):
            section = page.partition(f'.SS "{" ".join(("tithe", *name))}"\n')[2].partition(".SS")[0]
            options = [
                opt for parameter in command.params if isinstance(parameter, click.Option) for opt in parameter.opts
            ]
            assert [option for option in options if option not in section] == []


def test_lines_begin_with_no_macro_by_accident() -> None:
    known = {".TH", ".SH", ".SS", ".PP", ".TP", ".B", ".nf", ".fi"}
    lines = manual(root, "tithe").splitlines()
    assert {line.split()[0] for line in lines if line.startswith((".", "'"))} <= known


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_groff_has_nothing_to_complain_of() -> None:
    command = ["groff", "-man", "-Tutf8", "-Kutf8", "-ww", "-z"]
    ran = subprocess.run(command, input=manual(root, "tithe"), capture_output=True, text=True, check=True)
    assert ran.stderr == ""
