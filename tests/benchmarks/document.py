"""tests/benchmarks/README.md: each benchmark has a section there, and in it a part that a run writes.

That part stands between two markers and holds what the benchmark is, its tables, the machine, the day and the command.
All else in the document is written by hand, and a run leaves it as it is.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

DOCUMENT = Path(__file__).with_name("README.md")


def written(document: str, name: str, part: str) -> str:
    """The document with the part of one benchmark in its place: that of its last run, or else first in its section."""
    part = f"<!-- measured: {name} -->\n{part}\n<!-- end: {name} -->\n"
    last = re.compile(rf"<!-- measured: {name} -->\n.*?<!-- end: {name} -->\n", re.DOTALL)
    if last.search(document):
        return last.sub(lambda _: part, document)
    heading = f"## `{name}`\n\n"
    if heading not in document:
        return f"{document.rstrip()}\n\n{heading}{part}"
    return document.replace(heading, f"{heading}{part}\n")


def measured(description: str, tables: list[list[dict[str, Any]]], *, machine: str, day: str, command: str) -> str:
    """What stands between the markers."""
    return "\n\n".join([description.strip(), *map(markdown, tables), f"{machine} · {day} · `{command}`"])


def markdown(table: list[dict[str, Any]]) -> str:
    """A table in Markdown; the keys of the first row are the heads of its columns."""
    keys = list(table[0])
    lines = ["| " + " | ".join(keys) + " |", "|" + "---|" * len(keys)]
    lines += ["| " + " | ".join(_cell(row[key]) for key in keys) + " |" for row in table]
    return "\n".join(lines)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
