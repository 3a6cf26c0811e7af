"""`--always` and `--never`: who is in, who is out, and whether the weights stand for the rest."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import Tithe, make_records, read_jsonl, write_jsonl

BUDGET = ("--clusters", "12", "--size", "60")


@pytest.fixture
def sourced(tmp_path: Path) -> Path:
    """A corpus of 600 records: `source` is a, b or gold, every seventh has none, `flag` is true in every fifth."""
    records = make_records(600)
    for i, record in enumerate(records):
        if i % 7:
            record["source"] = "gold" if i % 40 == 3 else "ab"[i % 2]
        record["flag"] = i % 5 == 0
        record["level"] = i % 3
    return write_jsonl(tmp_path / "c.jsonl", records)


def manifest(folder: Path, name: str = "s.jsonl") -> dict:
    return json.loads((folder / f"{name}.manifest.json").read_text())


def drawn(folder: Path, name: str = "s.jsonl") -> dict[int, float]:
    table = pq.read_table(folder / f"{name}.rows.parquet")
    return dict(zip(table["row"].to_pylist(), table["weight"].to_pylist(), strict=True))


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_always_and_never_by_strings_numbers_and_booleans(
    tithe: Tithe, sourced: Path, tmp_path: Path, form: str
) -> None:
    records = read_jsonl(sourced)
    if form == "parquet":
        sourced = tmp_path / "c.parquet"
        pq.write_table(pa.Table.from_pylist([{"source": None, **record} for record in records]), sourced)
    arguments = ("--always", "source=gold", "--never", "flag=true", "--never", "level=2")
    ran = tithe("select", sourced, "-o", "s.jsonl", *BUDGET, *arguments)
    assert ran.code == 0, ran.err
    out = {i for i, r in enumerate(records) if r["flag"] or r["level"] == 2}
    sure = {i for i, r in enumerate(records) if r.get("source") == "gold"} - out
    found = drawn(tmp_path)
    assert len(found) == 60 and not out & set(found)
    assert {found[i] for i in sure} == {1.0} and 0 < len(sure) < 15
    written = manifest(tmp_path)
    assert (written["never"], written["always"], written["excluded"]) == (len(out), len(sure), 0)
    assert f"{len(out)} are left out by --never, the weights stand for the rest" in ran.err
    assert f", {len(sure)} of them by --always, as good as" in ran.err
    assert written["options"]["never"] == ["flag=true", "level=2"]


@pytest.mark.parametrize("sampler", ["pivotal", "simple", "iid"])
def test_the_rest_is_estimated_without_bias(tithe: Tithe, sourced: Path, tmp_path: Path, sampler: str) -> None:
    records = read_jsonl(sourced)
    losses = np.array([record["loss"] for record in records])
    rest = np.array([not record["flag"] for record in records])
    errors = []
    for seed in range(30):
        arguments = ("--loss", "column:loss", "--force", "--sampler", sampler, "--seed", seed)
        ran = tithe(
            "select", sourced, "-o", "s.jsonl", *BUDGET, *arguments, "--never", "flag=true", "--always", "source=gold"
        )
        assert ran.code == 0, ran.err
        errors.append(sum(weight * losses[row] for row, weight in drawn(tmp_path).items()) - losses[rest].sum())
    assert abs(np.mean(errors)) < 4 * np.std(errors) / np.sqrt(len(errors))


def test_they_combine_with_earlier_subsets_centres_and_bad_records(tithe: Tithe, sourced: Path, tmp_path: Path) -> None:
    records = read_jsonl(sourced)
    records[0]["text"] = None
    records[41]["text"] = None
    write_jsonl(sourced, records)
    arguments = (*BUDGET, "--on-bad-record", "skip", "--always", "source=gold", "--never", "source=b")
    assert tithe("select", sourced, "-o", "first.jsonl", *arguments).code == 0
    ran = tithe("select", sourced, "-o", "s.jsonl", *arguments, "--exclude", "first.jsonl", "--keep-centers")
    assert ran.code == 0, ran.err
    first, second = drawn(tmp_path, "first.jsonl"), drawn(tmp_path)
    assert not set(first) & set(second)
    assert {records[i].get("source") for i in first} == {"gold", "a", None}
    # The first took all that is certain; of the second, the centres that are left are.
    assert manifest(tmp_path)["always"] == 0 and {records[i].get("source") for i in second} == {"a", None}
    assert "60 are in earlier subsets and 2" in ran.err and "are left out by --never" in ran.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--always", "source"), "--always source: FIELD=VALUE is needed"),
        (("--never", "=a"), "--never =a: FIELD=VALUE is needed"),
        (("--never", "source=c"), "--never source=c: no record has this value; 'source' holds 'b', 'a', 'gold' ..."),
        (("--never", "sauce=c"), "no record has a text in 'sauce'"),
        (("--always", "flag=true"), "--always: 120 records do not fit into a budget of 60 records"),
        (("--always", "source=gold", "--method", "k-center"), "leaves nothing to chance; leave --always out"),
        (("--always", "source=gold", "--keep-centers", "--clusters", "55"), "records of --always do not fit"),
    ],
)
def test_what_cannot_be_is_said(tithe: Tithe, sourced: Path, arguments: tuple[str, ...], message: str) -> None:
    ran = tithe("select", sourced, "-o", "s.jsonl", *BUDGET, *arguments)
    assert (ran.code, message in ran.err) == (2, True), ran.err
    assert not Path("s.jsonl").exists()


def test_a_field_that_a_schema_lacks_and_a_corpus_that_is_left_empty(tithe: Tithe, tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a", "b"], "x": ["1", "1"], "y": [[1], [2]]}), tmp_path / "c.parquet")
    for dry in ((), ("--dry-run",)):
        ran = tithe("select", "c.parquet", "-o", "s.jsonl", "--never", "z=1", *dry)
        assert (ran.code, "--never z=1: there is no field 'z' in c.parquet, which has text, x, y" in ran.err) == (2, 1)
    ran = tithe("select", "c.parquet", "-o", "s.jsonl", "--never", "x=1")
    assert (ran.code, "--never x=1: leaves no record to choose from" in ran.err) == (1, True)
    ran = tithe("select", "c.parquet", "-o", "s.jsonl", "--never", "y=1")
    assert (ran.code, "no record has a text in 'y'" in ran.err) == (2, True)
