"""`--json`: one document on standard output, for every command that prints; the fixture checks it by the schema."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from tests.cli.test_help import commands
from tests.conftest import Tithe
from tests.schemas import schema
from tithe.cli.json_output import SCHEMA_VERSION

BUDGET = ("--clusters", "12", "--size", "60")


def test_every_command_has_it_and_a_schema() -> None:
    found = {" ".join(name): command for name, command in commands() if not isinstance(command, click.Group)}
    for name, command in found.items():
        assert "--json" in {option for parameter in command.params for option in parameter.opts}, name
    documents = schema("output")["$defs"]
    assert {definition["properties"]["command"]["const"] for definition in documents.values()} == {*found, "dry-run"}
    assert {d["properties"]["schema_version"]["const"] for d in documents.values()} == {SCHEMA_VERSION}


def test_documents_say_what_was_done(tithe: Tithe, corpus: Path, tmp_path: Path) -> None:
    select = ("select", corpus, "-o", "s.jsonl", *BUDGET, "--loss", "column:loss", "--score-subset")
    planned = json.loads(tithe(*select, "--dry-run", "--json").out)
    assert (planned["records"], planned["clusters"], planned["budgets"]) == (600, 12, [60])
    ran = tithe(*select, "--json")
    (subset,) = json.loads(ran.out)["subsets"]
    assert (subset["path"], subset["records"], subset["estimate"]["from"]) == ("s.jsonl", 60, "subset")
    assert Path(subset["manifest"]).exists()
    assert "selected" not in ran.err
    centers = json.loads(tithe("centers", corpus, "-o", "c.jsonl", *BUDGET, "--json").out)
    assert (centers["path"], centers["records"]) == ("c.jsonl", 12)
    assert json.loads(tithe("encoders", "--json").out)["encoders"][0]["usage"] == "lexical"
    report = tithe("report", "s.jsonl.manifest.json", "-o", "r.html", "--json")
    assert json.loads(report.out)["path"] == "r.html"
    manifest = json.loads((tmp_path / "s.jsonl.manifest.json").read_text())
    assert json.loads(tithe("versions", "--json").out)["versions"] == manifest["versions"]
    assert tithe("versions").out.splitlines()[0] == f"tithe {manifest['versions']['tithe']}"


def test_the_cache_tells_what_it_keeps(tithe: Tithe, corpus: Path, cache: Path) -> None:
    assert tithe("select", corpus, "-o", "s.jsonl", *BUDGET).code == 0
    listed = json.loads(tithe("cache", "list", "--json").out)
    assert {item["kind"] for item in listed["items"]} == {"embeddings", "records", "centroids", "clusters"}
    assert json.loads(tithe("cache", "verify", "--json").out)["damaged"] == 0
    labels = next(cache.glob("clusters-*/labels.npy"))
    labels.write_bytes(labels.read_bytes()[:-1] + b"\x7f")
    ran = tithe("cache", "verify", "--json")
    assert (ran.code, json.loads(ran.out)["damaged"]) == (1, 1)
    removed = json.loads(tithe("cache", "prune", "--all", "--json").out)["removed"]
    assert sorted(item["path"] for item in removed) == sorted(item["path"] for item in listed["items"])


@pytest.mark.parametrize("arguments", [("-o", "-", "--json")])
def test_a_subset_and_a_document_do_not_share_standard_output(
    tithe: Tithe, corpus: Path, arguments: tuple[str, ...]
) -> None:
    ran = tithe("select", corpus, *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "--json and -o - both want standard output" in ran.err
