"""Manifests that somebody changed: every place in one, other values for it, and a seal that fits again."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.selections import Made
from tithe.selection.subset.checksum import with_checksum
from tithe.selection.subset.manifest import to_json

Path_ = tuple[Any, ...]


def places(document: Any, path: Path_ = ()) -> Iterator[Path_]:
    """The way to each value of a document; of a list to the first."""
    yield path
    if isinstance(document, dict):
        for key, value in document.items():
            yield from places(value, (*path, key))
    elif isinstance(document, list) and document:
        yield from places(document[0], (*path, 0))


def value_at(document: Any, path: Path_) -> Any:
    """The value there."""
    for step in path:
        document = document[step]
    return document


def changed(document: Any, path: Path_, value: Any) -> Any:
    """A copy with another value at a place."""
    if not path:
        return value
    made = copy.deepcopy(document)
    value_at(made, path[:-1])[path[-1]] = value
    return made


def without(document: Any, path: Path_) -> Any:
    """A copy without a value."""
    made = copy.deepcopy(document)
    del value_at(made, path[:-1])[path[-1]]
    return made


def seal(path: Path, manifest: Any, literals: dict[str, str] | None = None) -> None:
    """Write a manifest under a seal that fits; `literals`: JSON in the place of strings, such as numbers without end."""
    if isinstance(manifest, dict):
        manifest.pop("sha256", None)
    text = json.dumps(manifest, indent=2, ensure_ascii=True)
    for name, literal in (literals or {}).items():
        text = text.replace(json.dumps(name), literal)
    path.write_bytes(with_checksum((text + "\n").encode()) if text.endswith("\n}") else text.encode())


def resealed(made: Made, change: dict[str, Any] | None = None) -> None:
    """Bring the hashes of the outputs up to date, and the seal: as somebody would who wants to deceive."""
    manifest = json.loads(made.manifest.read_text())
    del manifest["sha256"]
    for output in manifest["outputs"]:
        content = made.manifest.with_name(output["path"]).read_bytes()
        output.update(size=len(content), sha256=hashlib.sha256(content).hexdigest())
    made.manifest.write_bytes(with_checksum(to_json({**manifest, **(change or {})}).encode()))
