"""The manual page, built from the help: `python -m tithe.cli.man > tithe.1`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import version

import click

_PARAGRAPHS = re.compile(r"\n\s*\n")


def manual(root: click.Group, name: str) -> str:
    """The page in roff, with the macros of man(7)."""
    lines = [
        f'.TH "{name.upper()}" "1" "" "{name} {version(name)}" ""',
        ".SH NAME",
        _plain(f"{name} - {(root.help or '').strip().rstrip('.')}"),
        ".SH SYNOPSIS",
        _plain(f"{name} COMMAND [OPTIONS] [ARGUMENTS]"),
        ".SH COMMANDS",
    ]
    context = root.make_context(name, ["--help"], resilient_parsing=True)
    for command, inside in _commands(root, context):
        lines += [f'.SS "{_quoted(inside.command_path)}"', *_described(command, inside)]
    return "\n".join(lines) + "\n"


def _commands(group: click.Group, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    for name, command in group.commands.items():
        inside = click.Context(command, info_name=name, parent=context)
        if isinstance(command, click.Group):
            yield from _commands(command, inside)
        else:
            yield command, inside


def _described(command: click.Command, context: click.Context) -> Iterator[str]:
    arguments = " ".join(command.collect_usage_pieces(context))
    yield _plain(f"{context.command_path} {arguments}")
    for paragraph in _PARAGRAPHS.split((command.help or "").strip()):
        yield ".PP"
        if paragraph.lstrip().startswith("\b"):
            yield from (".nf", *map(_plain, (line.strip() for line in paragraph.splitlines()[1:])), ".fi")
        else:
            yield _plain(" ".join(paragraph.split()))
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context) if isinstance(parameter, click.Option) else None
        if record is not None:
            yield from (".TP", f".B {_plain(record[0])}", _plain(record[1]))


def _plain(text: str) -> str:
    """Text that roff takes for nothing else."""
    escaped = _quoted(text)
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped


def _quoted(text: str) -> str:
    return text.replace("\\", r"\e").replace("-", r"\-").replace('"', r"\(dq")


if __name__ == "__main__":
    from tithe.cli.main import tithe
    from tithe.cli.terminal import show_document

    show_document(manual(tithe, "tithe"))
