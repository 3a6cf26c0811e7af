"""The schema of manifests: what `manifest.schema.json` says, and what options, methods and the like say of themselves.

The file is for readers. `python -m tithe.selection.review.manifest_schema` brings it up to date; a test compares
it with what is used here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from tithe.selection.corpus.formats import INPUT_FORMATS
from tithe.selection.losses.registry import LOSSES, OF_USERS
from tithe.selection.options.options import OPTIONS
from tithe.selection.scoring.registry import METHODS, OF_A_REGRESSION
from tithe.selection.storage.own_files import OwnPath
from tithe.selection.subset.weight_shapes.registry import WEIGHT_SHAPES

NAME = "manifest.schema.json"


@cache
def manifest_schema() -> dict[str, Any]:
    """The schema of what this tithe writes."""
    return up_to_date(json.loads(files("tithe.selection.review").joinpath(NAME).read_text(encoding="utf-8")))


def up_to_date(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with all that options, methods, losses, formats and weight shapes say of themselves."""
    properties = schema["properties"]
    recorded = {one.key: one.json_schema() for one in OPTIONS if one.declared.recorded}
    recorded["inputs"]["minItems"] = 1
    recorded["output"]["type"] = "string"
    # Recorded as it is used.
    recorded["weights_as"]["enum"] = [*WEIGHT_SHAPES]
    properties["options"].update(properties=recorded, required=[*recorded])
    properties["inputs"]["items"]["properties"]["format"]["enum"] = [*INPUT_FORMATS]
    properties["subset"]["properties"]["weights_as"]["enum"] = [*WEIGHT_SHAPES]
    methods = [*METHODS.values(), OF_A_REGRESSION.load()]
    _add_facts(properties["method"], (method.FACTS for method in methods))
    _add_facts(properties["loss"], (source.FACTS for source in [*LOSSES.values(), OF_USERS.load()]))
    properties["loss"]["properties"]["source"]["enum"] = [*LOSSES, OF_USERS.name]
    return schema


def _add_facts(schema: dict[str, Any], facts: Iterable[dict[str, dict[str, Any]]]) -> None:
    """Let an object have what its kinds say that they find out, besides what it always has."""
    always = {name: schema["properties"][name] for name in schema["required"]}
    schema["properties"] = {**always, **{name: described for some in facts for name, described in some.items()}}


def written(schema: dict[str, Any]) -> str:
    """The text of the file: what fits a line stands in one."""
    return _written(schema, 0, 0) + "\n"


def _written(value: Any, depth: int, before: int) -> str:
    """JSON at a depth, after so many characters of its line."""
    plain = json.dumps(value, ensure_ascii=False)
    nested = isinstance(value, dict) and any(isinstance(inner, dict) for inner in value.values())
    if not isinstance(value, dict | list) or (not nested and before + len(plain) <= _WIDTH):
        return plain
    indent = "  " * (depth + 1)
    names = [f"{json.dumps(name)}: " for name in value] if isinstance(value, dict) else [""] * len(value)
    inner = value.values() if isinstance(value, dict) else value
    lines = [
        f"{indent}{name}{_written(one, depth + 1, len(indent) + len(name) + 1)}"
        for name, one in zip(names, inner, strict=True)
    ]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return ",\n".join([f"{opening}\n{lines[0]}", *lines[1:]]) + f"\n{'  ' * depth}{closing}"


_WIDTH = 120


if __name__ == "__main__":
    content = written(manifest_schema()).encode()
    path = OwnPath.of(Path(__file__).resolve().with_name(NAME))
    path.unlink()
    path.write(content)
