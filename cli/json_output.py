"""`--json`: what a command found, as one document for machines."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import click

from tithe.cli.terminal import show_document

# Of all documents together; it changes where a field is taken away or means something else, not where one is added.
SCHEMA_VERSION = 1

JSON: list[Callable[[Any], Any]] = [
    click.option("--json", "as_json", is_flag=True, help="Print one JSON document, for machines."),
]


def print_json(command: str, fields: dict[str, Any]) -> None:
    """Print the document of a command, as output.schema.json describes it. ASCII: names may be no valid UTF-8."""
    document = {"schema_version": SCHEMA_VERSION, "command": command, **fields}
    text = json.dumps(document, indent=2, allow_nan=False)
    show_document(text.replace("\x7f", "\\u007f") + "\n")  # DEL: the one control character that JSON leaves
