"""`tithe explain`: what decided about a record, as the rows file and other draws have it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.conftest import Tithe, write_jsonl
from tests.selections import BUDGET, CASES, Made, make


def explained(tithe: Tithe, made: Made, row: int) -> dict[str, Any]:
    ran = tithe("explain", made.manifest, "--row", row, "--json", "--allow-code")
    assert ran.code == 0, ran.err
    return json.loads(ran.out)


BY_CHANCE = [case for case in CASES if case not in ("nested", "k-center", "everything")]


@pytest.mark.parametrize("case", BY_CHANCE)
def test_what_was_left_out_is_told_the_chance_it_has_in_another_draw(tithe: Tithe, tmp_path: Path, case: str) -> None:
    made = make(tithe, case, tmp_path)
    other = ["other" + name[1:] if name == CASES[case][2] else name for name in CASES[case]]
    assert tithe("select", *other, "--seed", "1").code == 0
    here, there = pq.read_table(made.rows), pq.read_table(tmp_path / f"{other[2]}.rows.parquet")
    left_out = np.flatnonzero(~np.isin(there["row"].to_numpy(), here["row"].to_numpy()))
    line = there.slice(int(left_out[len(left_out) // 2]), 1).to_pylist()[0]
    found = explained(tithe, made, line["row"])
    standing = found["standing"]
    assert (found["selected"], found["reason"]) == (False, "it was left to chance, and others were drawn")
    assert (standing["cluster"], standing["is_centre"], standing["weight"]) == (
        line["cluster"],
        line["is_centre"],
        None,
    )
    assert standing["distance"] == pytest.approx(line["distance"])
    assert standing["score"] == pytest.approx(line["score"], rel=1e-6)
    assert standing["probability"] == pytest.approx(line["inclusion_probability"], rel=1e-6)
    assert {near["row"] for near in standing["neighbours"]} <= set(here["row"].to_pylist())
    distances = [near["distance"] for near in standing["neighbours"]]
    assert (len(distances), distances) == (5, sorted(distances))


@pytest.mark.parametrize("case", CASES)
def test_what_was_selected_is_told_as_the_rows_file_has_it(tithe: Tithe, tmp_path: Path, case: str) -> None:
    made = make(tithe, case, tmp_path)
    rows, clusters = pq.read_table(made.rows), pq.read_table(made.clusters)
    line = rows.slice(len(rows) // 2, 1).to_pylist()[0]
    found = explained(tithe, made, line["row"])
    standing = found["standing"]
    assert found["selected"]
    assert (standing["score"], standing["weight"]) == (line["score"], line["weight"])
    centre = clusters.slice(line["cluster"], 1).to_pylist()[0]
    assert (standing["centre_row"], standing["centre_text"]) == (centre["centre_row"], centre["excerpt"])
    assert (standing["records"], standing["selected"]) == (centre["records"], centre["selected"])
    assert line["row"] not in {near["row"] for near in standing["neighbours"]}


def test_reasons_without_chance(tithe: Tithe, tmp_path: Path) -> None:
    groups = make(tithe, "groups", tmp_path)
    assert explained(tithe, groups, 7)["reason"] == "by --always"
    records = [json.loads(line) for line in (tmp_path / "c.jsonl").read_text().splitlines()]
    never = next(i for i, record in enumerate(records) if record["topic"] == 3)
    assert explained(tithe, groups, never)["reason"] == "by --never"

    assert tithe("select", "twice.jsonl", "-o", "d.jsonl", *BUDGET, "--dedup").code == 0
    twice = Made(tmp_path, tmp_path / "d.jsonl.manifest.json")
    assert explained(tithe, twice, 310)["reason"] == "by --dedup: row 10 has the same text, and stands for it"

    assert tithe("select", "twice.jsonl", "-o", "n.jsonl", *BUDGET, "--dedup-near", "0.9").code == 0
    near = Made(tmp_path, tmp_path / "n.jsonl.manifest.json")
    reason = explained(tithe, near, 310)["reason"]
    assert reason.startswith("by --dedup-near: ") and "the most alike row 10 (cosine 1.000)" in reason

    assert tithe("select", "c.jsonl", "-o", "k.jsonl", *BUDGET, "--keep-centers").code == 0
    kept = Made(tmp_path, tmp_path / "k.jsonl.manifest.json")
    centre = pq.read_table(kept.clusters)["centre_row"][0].as_py()
    assert explained(tithe, kept, centre)["reason"] == "by --keep-centers: it is the centre of its cluster"

    assert tithe("select", "c.jsonl", "-o", "e.jsonl", *BUDGET, "--exclude", "k.jsonl").code == 0
    rest = Made(tmp_path, tmp_path / "e.jsonl.manifest.json")
    assert explained(tithe, rest, centre)["reason"] == "it is in an earlier subset, by --exclude"

    assert (
        tithe("select", "v.jsonl", "-o", "v.out.jsonl", "--encoder", "column:vector", "--on-bad-record", "skip").code
        == 0
    )
    found = explained(tithe, Made(tmp_path, tmp_path / "v.out.jsonl.manifest.json"), 200)
    assert found["reason"].startswith("it could not be used: ")
    assert (found["selected"], found["standing"]) == (False, None)


def test_the_chance_of_a_smaller_nested_subset_is_said_to_be_about_right(tithe: Tithe, tmp_path: Path) -> None:
    made = make(tithe, "nested", tmp_path)
    larger, smaller = tmp_path / "s-0.2.jsonl.manifest.json", made.manifest
    selected = {row for path in (larger, smaller) for row in _rows_of(path)}
    row = next(row for row in range(600) if row not in selected)
    for manifest, about in ((larger, False), (smaller, True)):
        found = explained(tithe, Made(tmp_path, manifest), row)["standing"]
        assert (found["about"], found["probability"] is not None) == (about, True)
    assert "chance    about " in tithe("explain", smaller, "--row", row).out


def test_code_and_models_are_not_asked_again_for_losses(tithe: Tithe, corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "once.py").write_text("def losses(records):\n    return [record['loss'] for record in records]\n")
    for name, loss in (("a", "column:loss"), ("b", "once:losses")):
        assert tithe("select", corpus, "-o", f"{name}.jsonl", *BUDGET, "--loss", loss).code == 0
    (tmp_path / "once.py").write_text("raise RuntimeError\n")
    selected = set(pq.read_table("a.jsonl.rows.parquet")["row"].to_pylist())
    row = next(row for row in range(600) if row not in selected)
    a, b = (explained(tithe, Made(tmp_path, tmp_path / f"{name}.jsonl.manifest.json"), row) for name in "ab")
    assert a["standing"] == b["standing"]
    assert b["standing"]["probability"] is not None


def test_what_cannot_be_explained_says_why(tithe: Tithe, tmp_path: Path) -> None:
    made = make(tithe, "plain", tmp_path)
    ran = tithe("explain", made.manifest, "--row", "600")
    assert (ran.code, "the corpus has the rows 0 to 599" in ran.err) == (2, True)
    clusters = made.clusters.read_bytes()
    made.clusters.write_bytes(clusters[:-9] + b"x" + clusters[-8:])
    ran = tithe("explain", made.manifest, "--row", "1")
    assert (ran.code, "s.parquet.clusters.parquet: is not what it was" in ran.err) == (1, True)
    made.clusters.write_bytes(clusters)
    content = (tmp_path / "c.jsonl").read_bytes()
    assert tithe("select", "-", "-o", "p.jsonl", "--size", "30", stdin=content).code == 0
    ran = tithe("explain", "p.jsonl.manifest.json", "--row", "1")
    assert (ran.code, "came from standard input" in ran.err) == (1, True)
    write_jsonl(tmp_path / "c.jsonl", [{"text": "another"}] * 600)
    ran = tithe("explain", made.manifest, "--row", "1")
    assert (ran.code, "c.jsonl: is not what it was" in ran.err) == (1, True)


def test_people_read_a_few_lines_that_do_nothing_to_a_terminal(tithe: Tithe, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "h.jsonl", [{"text": f"\x1b[31m red {i} \u202e {'word ' * (i % 9)}"} for i in range(80)])
    assert tithe("select", "h.jsonl", "-o", "s.jsonl", "--size", "20").code == 0
    ran = tithe("explain", "s.jsonl.manifest.json", "--row", "3")
    heads = [line.split()[0] for line in ran.out.splitlines()]
    assert heads == ["record", "selected", "cluster", "centre", "score", "chance", *["near"] * 5]
    assert "\x1b" not in ran.out and "\u202e" not in ran.out


def _rows_of(manifest: Path) -> list[int]:
    return pq.read_table(manifest.name.removesuffix(".manifest.json") + ".rows.parquet")["row"].to_pylist()
