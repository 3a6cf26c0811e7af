"""`tithe diff`: what differs between two selections."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Tithe, make_records, write_jsonl

BUDGET = ("--clusters", "12", "--size", "60")


@pytest.fixture
def two(tithe: Tithe, corpus: Path) -> None:
    for name, seed in (("a", 0), ("b", 1)):
        arguments = ("-o", f"{name}.jsonl", *BUDGET, "--seed", seed, "--loss", "column:loss")
        assert tithe("select", corpus, *arguments).code == 0


def test_another_seed_is_another_draw(tithe: Tithe, two: None) -> None:
    ran = tithe("diff", "a.jsonl.manifest.json", "b.jsonl.manifest.json", "--json")
    found = json.loads(ran.out)
    assert {change["name"] for change in found["options"]} == {"output", "seed"}
    assert (found["versions"], found["inputs"], found["same"]) == ([], [], False)
    rows = [{json.loads(line)["id"] for line in Path(f"{name}.jsonl").read_text().splitlines()} for name in ("a", "b")]
    records = found["records"]
    assert records["both"] == len(rows[0] & rows[1])
    assert [place["row_in_file"] for place in records["out"]] == sorted(rows[0] - rows[1])
    assert [place["row_in_file"] for place in records["into"]] == sorted(rows[1] - rows[0])
    assert records["reweighted"] == 0  # the same scores
    text = tithe("diff", "a.jsonl.manifest.json", "b.jsonl.manifest.json").out
    assert "option    seed: 0 → 1\n" in text
    assert f"records   {records['both']} in both, {len(records['out'])} out, {len(records['into'])} in\n" in text
    assert f"and {len(records['out']) - 5} more" in text


def test_the_same_twice_does_not_differ(tithe: Tithe, two: None) -> None:
    ran = tithe("diff", "a.jsonl.manifest.json", "a.jsonl.manifest.json")
    assert (ran.code, ran.out) == (0, "nothing differs\n")


def test_records_are_known_by_the_bytes_of_their_file(tithe: Tithe, tmp_path: Path) -> None:
    records = make_records(600)
    first, second, third = records[:200], records[200:400], records[400:]
    for folder, parts in (("one", (first, second)), ("two", (third, first, second))):
        (tmp_path / folder).mkdir()
        for number, part in enumerate(parts):
            write_jsonl(tmp_path / folder / f"{number}.jsonl", part)
        assert tithe("select", folder, "-o", f"{folder}.jsonl", "--fraction", "1").code == 0
    found = json.loads(tithe("diff", "one.jsonl.manifest.json", "two.jsonl.manifest.json", "--json").out)
    assert found["records"]["both"] == 400
    assert {place["file"] for place in found["records"]["into"]} == {"two/0.jsonl"}
    assert (len(found["records"]["into"]), found["records"]["out"]) == (200, [])
    assert len(found["inputs"]) == 5


def test_a_manifest_that_is_not_as_it_was_written_is_refused(tithe: Tithe, two: None) -> None:
    manifest = Path("b.jsonl.manifest.json")
    manifest.write_text(manifest.read_text().replace('"seed": 1', '"seed": 2'))
    ran = tithe("diff", "a.jsonl.manifest.json", manifest)
    assert (ran.code, "is not as tithe select wrote it" in ran.err) == (1, True)
    Path("a.jsonl.rows.parquet").unlink()
    ran = tithe("diff", "a.jsonl.manifest.json", "a.jsonl.manifest.json")
    assert (ran.code, "a.jsonl.rows.parquet: is not there" in ran.err) == (1, True)
