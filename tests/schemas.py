"""What tithe writes for machines, against the schemas in the package."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator


@cache
def schema(name: str) -> dict[str, Any]:
    """The schema `manifest` or `output`."""
    found = json.loads(files("tithe.selection.review").joinpath(f"{name}.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(found)
    return found


@cache
def validator(name: str) -> Draft202012Validator:
    """Its validator."""
    return Draft202012Validator(schema(name))


def check(name: str, document: Any) -> None:
    """Fail with the first places where a document is not what its schema says."""
    errors = [f"{error.json_path}: {error.message:.200}" for error in validator(name).iter_errors(document)]
    assert errors == [], errors


def check_output(printed: bytes) -> None:
    """Check what a command printed with --json."""
    document = json.loads(printed)
    name = document["command"].replace(" ", "-")
    errors = [e.message for e in Draft202012Validator(schema("output")["$defs"][name]).iter_errors(document)]
    assert errors == [], errors  # before the whole schema, whose errors say less
    check("output", document)


def nodes(described: Any, path: str = "$") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property that a schema has, with its path."""
    if isinstance(described, list):
        for inner in described:
            yield from nodes(inner, path)
    elif isinstance(described, dict):
        named = {**described.get("properties", {}), **described.get("$defs", {})}
        for name, inner in named.items():
            yield f"{path}.{name}", inner
            yield from nodes(inner, f"{path}.{name}")
        for key in ("items", "oneOf", "anyOf", "allOf"):
            yield from nodes(described.get(key, []), path)


def check_manifests(folder: Path, seen: set[tuple[str, int]]) -> None:
    """Check the manifests below a folder that were not seen yet, in the same state."""
    for path in folder.rglob("*.manifest.json"):
        state = (str(path), path.stat().st_mtime_ns)
        if path.is_file() and state not in seen:
            seen.add(state)
            check("manifest", json.loads(path.read_bytes()))
