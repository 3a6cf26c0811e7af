"""`--dedup`: no text twice, and the weights stand for the copies as well."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import Tithe, make_records, read_jsonl, write_jsonl

BUDGET = ("--clusters", "12", "--size", "60", "--dedup")


@pytest.fixture
def repeating(tmp_path: Path) -> Path:
    """600 records of 300 texts: 200 once, 60 twice, 40 seven times; every other one of source `b`."""
    texts = make_records(300)
    which = np.random.default_rng(0).permutation(np.repeat(np.arange(300), [1] * 200 + [2] * 60 + [7] * 40))
    records = [{**texts[i], "id": row, "source": "ab"[row % 2]} for row, i in enumerate(which.tolist())]
    return write_jsonl(tmp_path / "c.jsonl", records)


def manifest(folder: Path) -> dict:
    return json.loads((folder / "s.jsonl.manifest.json").read_text())


def test_no_text_is_drawn_twice_and_weights_are_unbiased(tithe: Tithe, repeating: Path, tmp_path: Path) -> None:
    records = read_jsonl(repeating)
    count = Counter(record["text"] for record in records)
    first = {record["text"]: record["id"] for record in reversed(records)}
    total = sum(record["loss"] for record in records)
    errors, subset, ran = [], [], None
    for seed in range(25):
        arguments = (*BUDGET, "--loss", "column:loss", "--score-subset", "--validate", "150", "--force")
        ran = tithe("select", repeating, "-o", "s.jsonl", *arguments, "--seed", seed)
        assert ran.code == 0, ran.err
        subset = read_jsonl(tmp_path / "s.jsonl")
        assert len({record["text"] for record in subset}) == len(subset) == 60
        assert all(record["id"] == first[record["text"]] for record in subset)
        errors.append(sum(record["weight"] * record["loss"] for record in subset) - total)
    assert abs(np.mean(errors)) < 4 * np.std(errors) / np.sqrt(len(errors))
    assert ran is not None
    written = manifest(tmp_path)
    assert written["duplicates"] == 600 - len(count)
    assert f"{600 - len(count)} are like another, which stands for them" in ran.err
    rows = pq.read_table(tmp_path / "s.jsonl.rows.parquet")
    copies = rows["weight"].to_numpy() * rows["inclusion_probability"].to_numpy()
    assert copies == pytest.approx([count[record["text"]] for record in subset])
    estimate = written["evidence"]["estimate"]
    assert estimate["low"] < total / 600 < estimate["high"]
    assert 0 < written["evidence"]["error"]["relative_to_uniform"] < 1.5


def test_it_combines_with_groups_conditions_and_a_budget_for_all(tithe: Tithe, repeating: Path, tmp_path: Path) -> None:
    records = read_jsonl(repeating)
    arguments = ("--group-by", "source", "--group-min", "25", "--always", "id=599", "--keep-centers")
    ran = tithe("select", repeating, "-o", "s.jsonl", *BUDGET, *arguments)
    assert ran.code == 0, ran.err
    groups = manifest(tmp_path)["groups"]["values"]
    assert sum(group["records"] for group in groups) == 600 and all(group["selected"] >= 25 for group in groups)
    subset = read_jsonl(tmp_path / "s.jsonl")
    # Of its text, the record that is certain stays, and stands for all.
    (sure,) = (record for record in subset if record["id"] == 599)
    assert sure["weight"] == sum(record["text"] == records[599]["text"] for record in records)
    ran = tithe("select", repeating, "-o", "s.jsonl", "--dedup", "--fraction", "1", "--never", "source=b", "--force")
    assert ran.code == 0, ran.err
    weights = Counter({record["text"]: record["weight"] for record in read_jsonl(tmp_path / "s.jsonl")})
    assert weights == Counter(record["text"] for record in records if record["source"] == "a")


def test_what_cannot_be_is_said(tithe: Tithe, repeating: Path, tmp_path: Path) -> None:
    for arguments, message in (
        (("--sampler", "iid"), "--dedup: needs --sampler pivotal, not iid"),
        (("--method", "k-center"), "leaves nothing to chance; leave --dedup out"),
        (("--encoder", "column:v"), "--dedup: compares texts, and --encoder column:v reads none"),
    ):
        source = repeating
        if "column:v" in arguments:
            source = tmp_path / "v.parquet"
            pq.write_table(pa.table({"v": [[1.0, 2.0], [3.0, 4.0]]}), source)
        ran = tithe("select", source, "-o", "s.jsonl", *BUDGET, *arguments)
        assert (ran.code, message in ran.err) == (2, True), ran.err
