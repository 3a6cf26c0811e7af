"""The schemas say something of everything."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import Tithe
from tests.schemas import nodes, schema
from tithe.selection.review.manifest_schema import NAME, manifest_schema, written
from tithe.selection.subset.manifest import SCHEMA_VERSION

ROOT = Path(__file__).parent.parent.parent.parent


@pytest.mark.parametrize("name", ["manifest", "output"])
def test_every_key_is_described(name: str) -> None:
    undescribed = [path for path, node in nodes(schema(name)) if not node.get("description")]
    assert undescribed == []


def test_the_schema_in_the_package_is_the_one_that_is_used() -> None:
    # After a change that is meant: make schemas
    text = (ROOT / "selection" / "review" / NAME).read_text(encoding="utf-8")
    assert text == written(manifest_schema())


def test_the_schema_is_of_the_version_that_is_written() -> None:
    assert schema("manifest")["properties"]["schema_version"]["const"] == SCHEMA_VERSION


def test_options_of_the_command_line_are_those_of_the_manifest(tithe: Tithe) -> None:
    options = set(re.findall(r"(?<= )--([a-z-]+)", tithe("select", "--help").out))
    options -= {"no-normalize", "config", "force", "quiet", "debug", "help", "dry-run", "json"}
    recorded = {name.replace("_", "-") for name in schema("manifest")["properties"]["options"]["properties"]}
    assert recorded - {"inputs", "shards"} == options  # that is what -o FOLDER/ means
