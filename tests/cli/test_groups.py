"""`--group-by`: exact numbers of records by group, weights that stand for the corpus, and what cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import Tithe, make_records, read_jsonl, write_jsonl

BUDGET = ("--clusters", "12", "--size", "60")
SIZES = {"web": 420, "code": 120, "rare, but dear": 20, None: 40}


@pytest.fixture
def sourced(tmp_path: Path) -> Path:
    """600 records of three sources, shuffled, 40 without any."""
    records = make_records(600)
    names = [name for name, size in SIZES.items() for _ in range(size)]
    np.random.default_rng(0).shuffle(names)  # pyright: ignore[reportArgumentType]
    for record, name in zip(records, names, strict=True):
        record |= {} if name is None else {"source": name}
    return write_jsonl(tmp_path / "c.jsonl", records)


def groups_of(folder: Path) -> dict:
    found = json.loads((folder / "s.jsonl.manifest.json").read_text())["groups"]
    assert found["field"] == "source"
    return {group.pop("value"): group for group in found["values"]}


def check(folder: Path, groups: dict) -> dict[str | None, int]:
    """The numbers that the manifest names are those of the subset."""
    subset = read_jsonl(folder / "s.jsonl")
    for value, group in groups.items():
        weights = [record["weight"] for record in subset if record.get("source") == value]
        assert group["selected"] == len(weights)
        assert group["weight"] == pytest.approx(sum(weights))
    assert sum(group["selected"] for group in groups.values()) == len(subset)
    return {value: group["selected"] for value, group in groups.items()}


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_floors_caps_and_shares_are_met(tithe: Tithe, sourced: Path, tmp_path: Path, form: str) -> None:
    if form == "parquet":
        sourced = tmp_path / "c.parquet"
        records = read_jsonl(tmp_path / "c.jsonl")
        pq.write_table(pa.Table.from_pylist([{"source": None, **r} for r in records]), sourced, row_group_size=100)
    arguments = ("select", sourced, "-o", "s.jsonl", *BUDGET, "--group-by", "source", "--force")
    ran = tithe(*arguments)
    assert ran.code == 0, ran.err
    by_scores = check(tmp_path, groups := groups_of(tmp_path))
    assert {value: group["records"] for value, group in groups.items()} == SIZES
    assert abs(by_scores["web"] - 42) <= 4 and abs(by_scores["code"] - 12) <= 3
    assert "groups    4 by source, of " in ran.err and "rare, but dear         " in ran.err

    assert tithe(*arguments, "--group-min", "8", "--group-max", "30").code == 0
    counts = check(tmp_path, groups_of(tmp_path))
    assert (counts["web"], counts["rare, but dear"]) == (30, 8) and min(counts.values()) == 8

    shares = ("--group-share", "rare, but dear=0.25,web=0.25,other=0.5", "--always", "source=rare, but dear")
    ran = tithe(*arguments, *shares)
    assert (ran.code, "0.25: 15 of 60 records, but 20 are certain" in ran.err) == (2, True), ran.err
    assert tithe(*arguments, *shares[:2]).code == 0
    counts = check(tmp_path, groups_of(tmp_path))
    assert (counts["web"], counts["rare, but dear"], counts["code"] + counts[None]) == (15, 15, 30)


def test_groups_combine_with_centres_conditions_losses_and_evidence(
    tithe: Tithe, sourced: Path, tmp_path: Path
) -> None:
    arguments = (*BUDGET, "--keep-centers", "--loss", "column:loss", "--score-subset", "--validate", "200")
    arguments += ("--group-by", "source", "--group-min", "9", "--never", "source=code")
    ran = tithe("select", sourced, "-o", "s.jsonl", *arguments, "--always", "source=rare, but dear")
    assert ran.code == 0, ran.err
    counts = check(tmp_path, groups_of(tmp_path))
    assert set(counts) == {"web", "rare, but dear", None} and counts["rare, but dear"] == 20
    evidence = json.loads((tmp_path / "s.jsonl.manifest.json").read_text())["evidence"]
    assert 0 < evidence["error"]["relative_to_uniform"] < 1.5
    losses = [r["loss"] for r in read_jsonl(sourced) if r.get("source") != "code"]
    assert evidence["estimate"]["low"] < np.mean(losses) < evidence["estimate"]["high"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--group-min", "20"), "4 groups need 80 records at least, but there are 60 to draw"),
        (("--group-max", "10"), "4 groups can give 40 records at most, but there are 60 to draw"),
        (("--group-min", "21"), "--group-min 21: 'rare, but dear' has 20 records"),
        (("--group-max", "19", "--always", "source=rare, but dear"), "has 20 records that are certain"),
        (("--group-min", "0"), "--group-min 0: at least 1 is needed"),
        (("--group-min", "3", "--group-max", "2"), "--group-min 3 is more than --group-max 2"),
        (("--group-share", "web=0.5"), "the shares sum up to 0.5, not to 1 (other=SHARE"),
        (("--group-share", "web=0.5,code=0.5"), "2 groups have no share, "),
        (("--group-share", "web=0.5,cod=0.1,other=0.4"), "--group-share cod: no record has this value; 'source' holds '"),
        (("--group-share", "rare, but dear=0.5,other=0.5"), "=0.5: 30 of 60 records, but there are 20"),
        (("--group-share", "web=0.001,other=0.999"), "0 of 60 records, but the weights need one of each group"),
        (("--group-share", "web"), "--group-share web: VALUE=SHARE,... is needed"),
        (("--group-share", "web=0,other=1"), "--group-share web=0: a share above 0 and at most 1"),
        (("--group-share", "web=.5,web=.5"), "'web' is there twice"),
        (("--group-share", "other=1", "--group-max", "9"), "leave --group-max out"),
        (("--sampler", "iid"), "--group-by: the sizes of groups are met by --sampler pivotal, not by iid"),
        (("--method", "k-center"), "leaves nothing to chance; leave --group-by out"),
        (("--group-by", "id", "--size", "9"), "600 groups need 600 records at least, but there are 9 to draw"),
        (("--group-by", "sauce"), "--group-by sauce: no record has a text in 'sauce'"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(tithe: Tithe, sourced: Path, arguments: tuple[str, ...], message: str) -> None:
    ran = tithe("select", sourced, "-o", "s.jsonl", *BUDGET, "--group-by", "source", *arguments)
    assert (ran.code, message in ran.err) == (2, True), ran.err
    assert not Path("s.jsonl").exists()


def test_values_that_make_no_groups(tithe: Tithe, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "c.jsonl", [{"text": "a", "x": "b"}, {"text": "b", "x": [1]}])
    ran = tithe("select", "c.jsonl", "-o", "s.jsonl", "--group-by", "x")
    assert (ran.code, "c.jsonl, line 2: --group-by x: the field holds a list" in ran.err) == (1, True)
    ran = tithe("select", "c.jsonl", "-o", "s.jsonl", "--group-min", "2")
    assert (ran.code, "--group-min means nothing without --group-by FIELD" in ran.err) == (2, True)
    pq.write_table(pa.table({"text": ["a", "b"]}), tmp_path / "c.parquet")
    ran = tithe("select", "c.parquet", "-o", "s.jsonl", "--group-by", "x")
    assert (ran.code, "--group-by x: there is no field 'x' in c.parquet, which has text" in ran.err) == (2, True)
