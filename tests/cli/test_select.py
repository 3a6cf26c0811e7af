"""`tithe select` as a user sees it."""

from __future__ import annotations

import gzip
import json
import math
import os
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import Tithe, make_records, read_jsonl, write_jsonl
from tithe.selection.engine.hashes import sha256


def manifest_of(path: Path) -> dict:
    return json.loads(Path(f"{path}.manifest.json").read_text(encoding="utf-8"))


def rows_of(path: Path) -> list[dict]:
    return pq.read_table(f"{path}.rows.parquet").to_pylist()


def test_the_subset_is_made_of_records_of_the_corpus_with_weights(tithe: Tithe, corpus: Path, tmp_path: Path) -> None:
    ran = tithe("select", corpus, "-o", "s.jsonl", "--size", "60")
    assert ran.code == 0, ran.err
    assert ran.out == ""
    subset = read_jsonl(tmp_path / "s.jsonl")
    source = make_records(600)
    assert len(subset) == 60
    ids = [record["id"] for record in subset]
    assert ids == sorted(set(ids))
    for record in subset:
        weight = record.pop("weight")
        assert weight >= 1
        assert record == source[record["id"]]


def test_the_rows_file_and_the_manifest_agree_with_the_subset(tithe: Tithe, corpus: Path, tmp_path: Path) -> None:
    tithe("select", "corpus.jsonl", "-o", "s.parquet", "--size", "60", "--loss", "column:loss")
    subset = pq.read_table(tmp_path / "s.parquet").to_pylist()
    rows = rows_of(tmp_path / "s.parquet")
    assert [row["row"] for row in rows] == [row["row_in_file"] for row in rows] == [r["id"] for r in subset]
    assert [row["weight"] for row in rows] == [record["weight"] for record in subset]
    assert {row["file"] for row in rows} == {"corpus.jsonl"}
    for row in rows:
        assert row["weight"] == pytest.approx(1 / row["inclusion_probability"])
        assert row["distance"] == 0 or not row["is_centre"]
    ratios = [row["inclusion_probability"] / row["score"] for row in rows if row["inclusion_probability"] < 1]
    assert max(ratios) == pytest.approx(min(ratios))

    manifest = manifest_of(tmp_path / "s.parquet")
    assert manifest["inputs"][0]["sha256"] == sha256(corpus)
    assert [entry["sha256"] for entry in manifest["outputs"]] == [
        sha256(tmp_path / entry["path"]) for entry in manifest["outputs"]
    ]
    weights = np.array([row["weight"] for row in rows])
    assert manifest["weights"]["total"] == pytest.approx(weights.sum())
    assert manifest["weights"]["effective_sample_size"] == pytest.approx(weights.sum() ** 2 / (weights**2).sum())
    assert manifest["n"] == manifest["rows"] == 600
    assert manifest["loss_queries"] == manifest["k"] <= manifest["k_requested"] == 24
    assert manifest["options"]["seed"] == 0
    assert {stage["stage"] for stage in manifest["run"]["stages"]} >= {"fit", "embed", "train", "assign", "write"}


@pytest.mark.parametrize("form", [".jsonl.gz", ".parquet", "folder", "stdin"])
def test_the_form_of_the_corpus_changes_neither_records_nor_weights(
    tithe: Tithe, corpus: Path, tmp_path: Path, form: str
) -> None:
    tithe("select", corpus, "-o", "plain.jsonl", "--size", "50")
    stdin = b""
    records = make_records(600)
    source = tmp_path / f"other{form}"
    if form == ".jsonl.gz":
        source.write_bytes(gzip.compress(corpus.read_bytes()))
    elif form == ".parquet":
        pq.write_table(pa.Table.from_pylist(records), source, row_group_size=77)
    elif form == "folder":
        source.mkdir()
        for part in range(7):
            write_jsonl(source / f"part-{part}.jsonl", records[part * 100 : (part + 1) * 100])
    else:
        source, stdin = Path("-"), corpus.read_bytes()
    ran = tithe("select", source, "-o", "other.jsonl", "--size", "50", stdin=stdin)
    assert ran.code == 0, ran.err
    assert read_jsonl(tmp_path / "other.jsonl") == read_jsonl(tmp_path / "plain.jsonl")


def test_standard_output_carries_the_subset_and_nothing_else(tithe: Tithe, corpus: Path, tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    ran = tithe("select", "-", "-o", "-", "--size", "20", stdin=corpus.read_bytes())
    assert [set(json.loads(line)) >= {"text", "weight"} for line in ran.out.splitlines()] == [True] * 20
    assert set(tmp_path.iterdir()) == before


def test_twice_the_same_gives_the_same_bytes_and_another_seed_another_subset(
    tithe: Tithe, corpus: Path, tmp_path: Path
) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        tithe("select", "corpus.jsonl", "-o", f"{name}.parquet", "--size", "40", "--seed", seed)
    a, b, c = ((tmp_path / f"{name}.parquet").read_bytes() for name in "abc")
    assert a == b != c
    first, second = (manifest_of(tmp_path / f"{name}.parquet") for name in "ab")
    for manifest in (first, second):
        del manifest["run"], manifest["options"]["output"], manifest["sha256"]
        for entry in manifest["outputs"]:
            del entry["path"]
    assert first == second


def test_only_the_losses_of_the_centres_are_read(tithe: Tithe, tmp_path: Path) -> None:
    records = make_records(400)
    write_jsonl(tmp_path / "all.jsonl", records)
    tithe("select", "all.jsonl", "-o", "all.parquet", "--clusters", "15", "--size", "400")
    centres = {row["row"] for row in rows_of(tmp_path / "all.parquet") if row["is_centre"]}
    arguments = ("--clusters", "15", "--size", "40", "--loss", "column:loss")
    tithe("select", "all.jsonl", "-o", "s.jsonl", *arguments)
    for i, record in enumerate(records):
        if i not in centres:
            record["loss"] = "a trap: whoever reads this stops"
    write_jsonl(tmp_path / "trap.jsonl", records)
    ran = tithe("select", "trap.jsonl", "-o", "t.jsonl", *arguments)
    assert ran.code == 0, ran.err
    chosen = [[(r["id"], r["weight"]) for r in read_jsonl(tmp_path / name)] for name in ("s.jsonl", "t.jsonl")]
    assert chosen[0] == chosen[1]
    assert manifest_of(tmp_path / "t.jsonl")["loss_queries"] == len(centres)
    # And a centre's loss is read: the trap works.
    records[min(centres)]["loss"] = -1
    write_jsonl(tmp_path / "trap.jsonl", records)
    ran = tithe("select", "trap.jsonl", "-o", "u.jsonl", *arguments)
    assert (ran.code, f"trap.jsonl, line {min(centres) + 1}: the loss in 'loss' is -1" in ran.err) == (1, True)


def test_losses_draw_the_sample_to_where_they_are_high(tithe: Tithe, corpus: Path, tmp_path: Path) -> None:
    tithe("select", corpus, "-o", "s.jsonl", "--size", "100", "--loss", "column:loss", "--lambda", "0")
    subset = read_jsonl(tmp_path / "s.jsonl")
    everything = make_records(600)
    assert np.mean([r["loss"] for r in subset]) > 1.2 * np.mean([r["loss"] for r in everything])
    estimate = sum(r["weight"] * r["loss"] for r in subset) / 600
    assert estimate == pytest.approx(np.mean([r["loss"] for r in everything]), rel=0.15)


@pytest.mark.parametrize("sampler", ["pivotal", "iid"])
def test_centres_are_kept_within_the_budget(tithe: Tithe, corpus: Path, tmp_path: Path, sampler: str) -> None:
    arguments = ("--size", "60", "--clusters", "20", "--keep-centers", "--sampler", sampler)
    ran = tithe("select", corpus, "-o", "s.jsonl", *arguments)
    assert ran.code == 0, ran.err
    rows = rows_of(tmp_path / "s.jsonl")
    centres = [row for row in rows if row["is_centre"]]
    assert len(centres) == manifest_of(tmp_path / "s.jsonl")["k"]
    assert all(row["weight"] == 1 for row in centres)
    assert len(rows) == 60 if sampler == "pivotal" else len(rows) <= 60


def test_independent_draws_weigh_by_how_often_a_record_was_drawn(tithe: Tithe, corpus: Path, tmp_path: Path) -> None:
    tithe("select", corpus, "-o", "s.jsonl", "--epsilon", "0.1", "--sampler", "iid")
    draws = math.ceil(100 * (2 + 0.2 / 3))
    rows = rows_of(tmp_path / "s.jsonl")
    assert len(rows) < draws  # 207 draws of 600 records repeat some
    for row in rows:
        # w = c / (s p) and π = 1 - (1 - p)^s, hence c is a whole number.
        p = -math.expm1(math.log1p(-row["inclusion_probability"]) / draws)
        count = row["weight"] * draws * p
        assert count == pytest.approx(round(count), abs=1e-6)
        assert round(count) >= 1


@pytest.mark.parametrize("arguments", [("--size", "600"), ("--size", "100000"), ("--fraction", "1")])
@pytest.mark.parametrize("sampler", ["pivotal", "iid"])
def test_a_budget_of_all_records_gives_all_with_weight_one(
    tithe: Tithe, corpus: Path, tmp_path: Path, arguments: tuple[str, ...], sampler: str
) -> None:
    tithe("select", corpus, "-o", "s.jsonl", "--sampler", sampler, *arguments)
    assert read_jsonl(tmp_path / "s.jsonl") == [{**record, "weight": 1.0} for record in make_records(600)]


@pytest.mark.parametrize("n", [1, 2, 3, 10])
@pytest.mark.parametrize("budget", [(), ("--size", "1"), ("--size", "2", "--clusters", "50"), ("--epsilon", "1")])
def test_tiny_corpora(tithe: Tithe, tmp_path: Path, n: int, budget: tuple[str, ...]) -> None:
    write_jsonl(tmp_path / "c.jsonl", make_records(n))
    ran = tithe("select", "c.jsonl", "-o", "s.jsonl", *budget)
    assert ran.code == 0, ran.err
    subset = read_jsonl(tmp_path / "s.jsonl")
    assert 1 <= len(subset) <= n
    assert all(record["weight"] >= 1 for record in subset)


@pytest.mark.parametrize("text", ["always the same words here", ""])
def test_records_that_are_all_the_same(tithe: Tithe, tmp_path: Path, text: str) -> None:
    write_jsonl(tmp_path / "c.jsonl", [{"text": text, "id": i} for i in range(300)])
    ran = tithe("select", "c.jsonl", "-o", "s.jsonl", "--size", "30", "--text", "text")
    assert ran.code == 0, ran.err
    subset = read_jsonl(tmp_path / "s.jsonl")
    assert len(subset) == 30
    assert {record["weight"] for record in subset} == {10.0}


def test_force_overwrites_and_without_it_nothing_is_touched(tithe: Tithe, corpus: Path, tmp_path: Path) -> None:
    tithe("select", corpus, "-o", "s.jsonl", "--size", "10")
    before = (tmp_path / "s.jsonl").read_bytes()
    assert tithe("select", corpus, "-o", "s.jsonl", "--size", "20").code == 1
    assert (tmp_path / "s.jsonl").read_bytes() == before
    assert tithe("select", corpus, "-o", "s.jsonl", "--size", "20", "--force").code == 0
    assert len(read_jsonl(tmp_path / "s.jsonl")) == 20


def test_quiet_says_nothing_and_otherwise_the_summary_has_a_line_each(tithe: Tithe, corpus: Path) -> None:
    assert tithe("select", corpus, "-o", "a.jsonl", "--quiet").err == ""
    lines = tithe("select", corpus, "-o", "b.jsonl").err.splitlines()
    assert lines[0] == "text: text"
    assert [line.split()[0] for line in lines[1:]] == [
        "found",
        "read",
        "clusters",
        "selected",
        "weights",
        "covered",
        "wrote",
    ]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--encoder", "column:v", "--dedup"), "--dedup: compares texts, and --encoder column:v reads none"),
        (("--loss", "column:l", "--validate", "2", "--validation-loss", "column:no"), "--validation-loss column:no"),
    ],
)
def test_a_dry_run_refuses_what_the_selection_would(
    tithe: Tithe, tmp_path: Path, options: tuple[str, ...], reason: str
) -> None:
    pq.write_table(pa.table({"text": ["a"] * 10, "v": [[1.0, 2.0]] * 10, "l": [1.0] * 10}), tmp_path / "in.parquet")
    for dry in ((), ("--dry-run",)):
        ran = tithe("select", "in.parquet", "-o", "s.parquet", *options, *dry)
        assert ran.code != 0
        assert reason in ran.err.splitlines()[-1]
    assert not (tmp_path / "s.parquet").exists()


def test_a_dry_run_prints_the_plan_and_writes_nothing(tithe: Tithe, corpus: Path, tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    ran = tithe("select", corpus, "-o", "s.jsonl", "--dry-run", "--size", "50")
    assert ran.code == 0, ran.err
    assert [line.split()[0] for line in ran.out.splitlines()] == [
        "records", "clusters", "budget", "memory", "disk", "time",
    ]  # fmt: skip
    assert "600" in ran.out.splitlines()[0]
    assert "50 records (8.33%)" in ran.out.splitlines()[2]
    assert set(tmp_path.iterdir()) == before


def test_a_configuration_file_holds_options_and_flags_win(tithe: Tithe, corpus: Path, tmp_path: Path) -> None:
    Path("t.toml").write_text(
        'inputs = ["corpus.jsonl"]\noutput = "s.jsonl"\nsize = 30\nlambda = 0.5\ntext = "text"\n'
        'on-bad-record = "skip"\nkeep_centers = true\nnormalize = false\n'
    )
    assert tithe("select", "--config", "t.toml").code == 0
    options = manifest_of(tmp_path / "s.jsonl")["options"]
    assert (options["size"], options["lambda"], options["text"]) == (30, 0.5, ["text"])
    assert (options["on_bad_record"], options["keep_centers"], options["normalize"]) == ("skip", True, False)
    assert tithe("select", "--config", "t.toml", "--size", "31", "--force").code == 0
    assert manifest_of(tmp_path / "s.jsonl")["options"]["size"] == 31


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("clusters = true", "'clusters' must be text or a number"),
        ('force = "yes"', "'force' must be true or false"),
        ("size = [1]", "'size' must be text or a number"),
        ("size = 1.5", "'1.5' is not a valid integer"),
        ("size = inf", "'inf' is not a valid integer"),
        ("size = nan", "'nan' is not a valid integer"),
        ("batch-size = inf", "'inf' is not a valid integer"),
        ("loss-timeout = inf", "--loss-timeout inf: a finite number is needed"),
        ("loss-timeout = 1e308", "--loss-timeout 1e+308: seconds are needed, more than 0 and at most 1e+09"),
        ("lambda = nan", "--lambda nan: a finite number is needed"),
        ("text = [[1]]", "'text' must be text or a number, or a list of these"),
        ("text = {a = 1}", "'text' must be text or a number, or a list of these"),
        ("text = 1979-05-27", "'text' must be text or a number, or a list of these"),
        ('template = "a\\u0000"', "'template' must be text or a number"),
        ("size = " + "[" * 20_000 + "]" * 20_000, "is not valid TOML"),
        ("size = " + "9" * 5_000, "is not valid TOML"),
        ("debug = true", "unknown key 'debug'"),
        ('size = "many"', "'many' is not a valid integer"),
    ],
)
def test_values_of_the_wrong_kind_in_a_configuration_file(tithe: Tithe, corpus: Path, line: str, message: str) -> None:
    Path("t.toml").write_text(line + "\n")
    ran = tithe("select", "corpus.jsonl", "-o", "s.jsonl", "--config", "t.toml")
    assert (ran.code, message in ran.err) == (2, True), ran.err


def test_names_with_spaces_unicode_and_braces(tithe: Tithe, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "my cörpus {1}.jsonl", make_records(40))
    ran = tithe("select", "my cörpus {1}.jsonl", "-o", "süb set.jsonl", "--size", "5")
    assert ran.code == 0, ran.err
    assert manifest_of(tmp_path / "süb set.jsonl")["inputs"][0]["path"] == "my cörpus {1}.jsonl"


@pytest.mark.skipif(sys.platform != "linux", reason="file names are UTF-8 there")
def test_a_file_name_that_is_no_utf_8(tithe: Tithe, tmp_path: Path) -> None:
    name = os.fsdecode(b"corp\xffus.jsonl")
    write_jsonl(tmp_path / name, make_records(40))
    output = os.fsdecode(b"s\xfe.parquet")
    ran = tithe("select", name, "-o", output, "--size", "5")
    assert ran.code == 0, ran.err
    assert manifest_of(tmp_path / output)["inputs"][0]["path"] == name
    with Path(output).open("rb") as subset, Path(f"{output}.rows.parquet").open("rb") as rows:
        assert len(pq.read_table(subset)) == 5
        assert pq.read_table(rows)["file"][0].as_py() == "corp\\xffus.jsonl"
    ran = tithe("select", output, "-o", "t.jsonl", "--size", "2", "--weight-column", "w")
    assert ran.code == 0, ran.err


def test_the_weight_column_can_have_another_name(tithe: Tithe, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "c.jsonl", [{"text": f"t {i}", "weight": 3} for i in range(20)])
    ran = tithe("select", "c.jsonl", "-o", "s.parquet", "--size", "5", "--weight-column", "importance")
    assert ran.code == 0, ran.err
    assert pq.read_schema(tmp_path / "s.parquet").names == ["text", "weight", "importance"]


def test_help_fits_80_columns_and_names_every_command(tithe: Tithe) -> None:
    for arguments in (("--help",), ("select", "--help"), ("encoders", "--help")):
        ran = tithe(*arguments)
        assert ran.code == 0
        assert max(map(len, ran.out.splitlines())) <= 80
    assert all(name in tithe("--help").out for name in ("select", "encoders"))


def test_tempered_weights_are_in_the_subset_and_the_unbiased_ones_in_the_rows_file(
    tithe: Tithe, corpus: Path, tmp_path: Path
) -> None:
    for name, temper in (("plain", "1"), ("half", "0.5")):
        arguments = ("--size", "60", "--loss", "column:loss", "--temper", temper)
        assert tithe("select", corpus, "-o", f"{name}.jsonl", *arguments).code == 0
    plain, half = (
        np.array([r["weight"] for r in read_jsonl(tmp_path / f"{name}.jsonl")]) for name in ("plain", "half")
    )
    np.testing.assert_allclose(half, plain**0.5 * plain.sum() / (plain**0.5).sum())
    assert [row["weight"] for row in rows_of(tmp_path / "half.jsonl")] == plain.tolist()
    assert manifest_of(tmp_path / "half.jsonl")["weights"]["largest"] == pytest.approx(half.max())
    assert tithe("select", corpus, "-o", "s.jsonl", "--temper", "2").code == 2
