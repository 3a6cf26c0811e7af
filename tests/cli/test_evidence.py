"""The evidence in the manifest and the summary: what is asked for is counted, and what is said is true."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.conftest import Tithe, make_records, read_jsonl, write_jsonl

BUDGET = ("--clusters", "12", "--size", "60")


def evidence(folder: Path) -> tuple[dict, dict]:
    manifest = json.loads((folder / "s.jsonl.manifest.json").read_text())
    return manifest, manifest["evidence"]


def test_without_losses_nothing_is_claimed_of_them(tithe: Tithe, corpus: Path, tmp_path: Path) -> None:
    ran = tithe("select", corpus, *BUDGET, "-o", "s.jsonl")
    assert ran.code == 0
    manifest, found = evidence(tmp_path)
    assert (found["estimate"], found["error"], found["losses"], found["validation"]) == (None, None, None, None)
    assert manifest["loss_queries"] == 0
    assert "mean loss" not in ran.err


def test_the_centres_alone_give_an_estimate_without_interval(tithe: Tithe, corpus: Path, tmp_path: Path) -> None:
    ran = tithe("select", corpus, *BUDGET, "-o", "s.jsonl", "--loss", "column:loss")
    manifest, found = evidence(tmp_path)
    assert manifest["loss_queries"] == 12
    assert found["estimate"]["from"] == found["error"]["from"] == "centres"
    assert found["estimate"]["low"] is None
    assert "no interval: by the centres alone; --score-subset or --validate gives one" in ran.err


def test_the_subsets_losses_give_an_interval(tithe: Tithe, corpus: Path, tmp_path: Path) -> None:
    ran = tithe("select", corpus, *BUDGET, "-o", "s.jsonl", "--loss", "column:loss", "--score-subset")
    manifest, found = evidence(tmp_path)
    subset = read_jsonl(tmp_path / "s.jsonl")
    estimate = found["estimate"]
    assert estimate["mean_loss"] == pytest.approx(sum(r["weight"] * r["loss"] for r in subset) / 600)
    assert estimate["low"] < estimate["mean_loss"] < estimate["high"]
    assert "95% confidence" in ran.err
    drawn = pq.read_table(tmp_path / "s.jsonl.rows.parquet")
    known_before = int(np.sum(drawn["is_centre"].to_numpy(zero_copy_only=False)))
    assert manifest["loss_queries"] == 12 + 60 - known_before  # a centre is not asked about twice


def test_validation_of_all_records_forecasts_the_true_error(tithe: Tithe, corpus: Path, tmp_path: Path) -> None:
    arguments = (corpus, *BUDGET, "-o", "s.jsonl", "--loss", "column:loss", "--work-dir", "work", "--force")
    assert tithe("select", *arguments, "--validate", "600").code == 0
    _, found = evidence(tmp_path)
    assert found["error"]["from"] == "all"
    losses = np.array([record["loss"] for record in read_jsonl(corpus)])
    errors = []
    for seed in range(150):
        assert tithe("select", *arguments, "--seed", seed, "--quiet").code == 0
        drawn = pq.read_table(tmp_path / "s.jsonl.rows.parquet")
        errors.append(drawn["weight"].to_numpy() @ losses[drawn["row"].to_numpy()] / 600 - losses.mean())
    measured = np.sqrt(np.mean(np.square(errors)))  # its standard error is 6%
    assert found["error"]["design"] == pytest.approx(measured, rel=0.25)


def test_validation_says_how_far_the_proxy_can_be_trusted(tithe: Tithe, corpus: Path, tmp_path: Path) -> None:
    options = ("--validate", "200", "--lambda", "1")
    assert tithe("select", corpus, *BUDGET, "-o", "s.jsonl", "--loss", "column:loss", *options).code == 0
    _, found = evidence(tmp_path)
    validation = found["validation"]
    assert validation["records"] == len(validation["points"]) == 200
    proxies, losses = np.array(validation["points"]).T
    assert validation["correlation"] == pytest.approx(np.corrcoef(proxies, losses)[0, 1])
    assert 0 <= validation["beyond_lambda"] <= 1
    quantiles = list(validation["holder"].values())
    assert quantiles == sorted(quantiles)
    true = np.mean([record["loss"] for record in read_jsonl(corpus)])
    assert found["estimate"]["from"] == "validation"
    assert abs(found["estimate"]["mean_loss"] - true) < 5 * found["estimate"]["standard_error"]


def test_validation_losses_may_come_from_a_second_file(tithe: Tithe, corpus: Path, tmp_path: Path) -> None:
    for validated in ((), ("--validate", "50")):
        name = f"centres{len(validated)}.jsonl"
        assert tithe("centers", corpus, "--work-dir", "work", "-o", name, *BUDGET, *validated).code == 0
    centres, both = read_jsonl(tmp_path / "centres0.jsonl"), read_jsonl(tmp_path / "centres2.jsonl")
    for name, records in (("one.jsonl", centres), ("two.jsonl", both)):
        write_jsonl(tmp_path / name, [{"row": record["row"], "loss": record["loss"]} for record in records])
    losses = ("--loss", "file:one.jsonl", "--validate", "50", "--validation-loss", "file:two.jsonl")
    ran = tithe("select", corpus, *BUDGET, "--work-dir", "work", "-o", "s.jsonl", *losses)
    assert ran.code == 0, ran.err
    manifest, found = evidence(tmp_path)
    assert manifest["loss_queries"] == 12 + 50
    assert found["validation"]["records"] == 50
    ran = tithe("select", corpus, *BUDGET, "--work-dir", "work", "-o", "t.jsonl", *losses[:4])
    assert (ran.code, "one.jsonl: has no loss for" in ran.err) == (1, True)


def test_losses_unrelated_to_the_embedding_are_called_what_they_are(tithe: Tithe, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    records = [{**record, "loss": float(rng.gamma(2, 1))} for record in make_records(3000)]
    write_jsonl(tmp_path / "c.jsonl", records)
    for more in ((), ("--validate", "500"), ("--validate", "3000")):
        budget = ("--clusters", "50", "--size", "200")
        arguments = ("c.jsonl", *budget, "-o", "s.jsonl", "--loss", "column:loss", "--force", "--work-dir", "work")
        ran = tithe("select", *arguments, *more)
        assert "a uniform sample of the same size would do as well" in ran.err, ran.err


def test_coverage_and_weights(tithe: Tithe, corpus: Path, tmp_path: Path) -> None:
    assert tithe("select", corpus, *BUDGET, "-o", "s.jsonl", "--loss", "column:loss").code == 0
    _, found = evidence(tmp_path)
    subset = read_jsonl(tmp_path / "s.jsonl")
    clusters = pq.read_table(tmp_path / "s.jsonl.clusters.parquet").to_pylist()
    covered = [cluster for cluster in clusters if cluster["selected"]]
    assert found["coverage"]["clusters_with_a_record"] == len(covered)
    assert found["coverage"]["mass"] == pytest.approx(sum(cluster["records"] for cluster in covered) / 600)
    assert sum(cluster["records"] for cluster in clusters) == 600
    assert sum(cluster["weight"] for cluster in clusters) == pytest.approx(sum(r["weight"] for r in subset))
    records = read_jsonl(corpus)
    for cluster in clusters:
        centre = records[cluster["centre_row"]]
        assert (centre["loss"], centre["text"][:300]) == (cluster["loss"], cluster["excerpt"])
    weights = np.array([record["weight"] for record in subset])
    assert found["design_effect"] == pytest.approx(len(weights) * (weights**2).sum() / weights.sum() ** 2)
    assert [entry["weight"] for entry in found["largest_weights"]] == sorted(weights, reverse=True)[:5]
    assert sum(found["lengths"]["corpus"]) == 600
    assert sum(found["lengths"]["subset"]) == pytest.approx(weights.sum())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--validate", "1", "--loss", "column:loss"), "--validate 1: at least 2 is needed"),
        (("--validate", "10"), "need losses: name their source with --loss"),
        (("--score-subset",), "need losses: name their source with --loss"),
        (("--validation-loss", "none", "--loss", "column:loss"), "means nothing without --validate"),
        (("--cluster-seed", "-1"), "--cluster-seed -1: at least 0 is needed"),
    ],
)
def test_options_that_mean_nothing_are_refused(
    tithe: Tithe, corpus: Path, options: tuple[str, ...], message: str
) -> None:
    ran = tithe("select", corpus, *BUDGET, "-o", "s.jsonl", *options)
    assert (ran.code, message in ran.err) == (2, True), ran.err
