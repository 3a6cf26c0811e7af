"""Rounds: clusters are kept and found by content, centres are scored elsewhere, earlier subsets are left out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.conftest import Tithe, make_records, read_jsonl, write_jsonl

BUDGET = ("--clusters", "12", "--size", "60")
COUNTING_ENCODER = """
import numpy as np

class Counting:
    def identity(self):
        return {"name": "counting"}
    def encode(self, texts):
        with open("encoded", "a") as file:
            file.write("x" * len(texts))
        return np.array([[len(t), t.count("e"), t.count("o"), 1] for t in texts], np.float32)
"""


def manifest(folder: Path, name: str = "s.jsonl") -> dict:
    return json.loads((folder / f"{name}.manifest.json").read_text())


def rows(folder: Path, name: str) -> list[int]:
    return pq.read_table(folder / f"{name}.rows.parquet")["row"].to_pylist()


def test_the_loop_of_the_readme(tithe: Tithe, corpus: Path, tmp_path: Path) -> None:
    ran = tithe("centers", corpus, "--work-dir", "work", "-o", "centers.jsonl", *BUDGET)
    assert ran.code == 0, ran.err
    centres, records = read_jsonl(tmp_path / "centers.jsonl"), read_jsonl(corpus)
    assert len(centres) == 12
    assert sorted(centre["cluster"] for centre in centres) == list(range(12))
    for centre in centres:
        assert {**records[centre["row"]], "row": centre["row"], "cluster": centre["cluster"]} == centre
    losses = [{"row": centre["row"], "loss": centre["loss"]} for centre in centres]
    write_jsonl(tmp_path / "losses.jsonl", losses)
    ran = tithe("select", corpus, "--work-dir", "work", "-o", "s.jsonl", *BUDGET, "--loss", "file:losses.jsonl")
    assert ran.code == 0, ran.err
    assert "found in work: embeddings and clusters" in ran.err
    assert manifest(tmp_path)["loss_queries"] == 12
    # Without the work folder, and with the losses in the corpus, it is the same subset.
    assert tithe("select", corpus, "-o", "t.jsonl", *BUDGET, "--loss", "column:loss").code == 0
    assert read_jsonl(tmp_path / "s.jsonl") == read_jsonl(tmp_path / "t.jsonl")


def test_a_second_round_embeds_nothing_and_draws_another_subset(tithe: Tithe, corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "counting.py").write_text(COUNTING_ENCODER)
    arguments = (corpus, *BUDGET, "--encoder", "counting:Counting", "--work-dir", "work", "--loss", "column:loss")
    assert tithe("select", *arguments, "-o", "s.jsonl").code == 0
    assert len((tmp_path / "encoded").read_text()) == 600
    assert tithe("select", *arguments, "-o", "t.jsonl", "--seed", "2").code == 0
    assert len((tmp_path / "encoded").read_text()) == 600
    assert manifest(tmp_path, "t.jsonl")["run"]["reused"] == ["embeddings", "clusters"]
    assert rows(tmp_path, "s.jsonl") != rows(tmp_path, "t.jsonl")
    # Another k needs other clusters, but no embeddings.
    assert tithe("select", *arguments, "-o", "u.jsonl", "--clusters", "13").code == 0
    assert len((tmp_path / "encoded").read_text()) == 600
    assert manifest(tmp_path, "u.jsonl")["run"]["reused"] == ["embeddings"]


@pytest.mark.parametrize("change", ["content", "rule", "seed", "normalize"])
def test_a_change_of_what_the_clusters_depend_on_makes_new_ones(
    tithe: Tithe, corpus: Path, tmp_path: Path, change: str
) -> None:
    arguments = [corpus, *BUDGET, "--work-dir", "work", "-o", "s.jsonl", "--force"]
    assert tithe("select", *arguments).code == 0
    if change == "content":
        records = read_jsonl(corpus)
        records[0]["text"] += " more"
        write_jsonl(corpus, records)
    arguments += {
        "rule": ["--template", "{text}!"],
        "seed": ["--cluster-seed", "1"],
        "normalize": ["--no-normalize"],
    }.get(change, [])
    assert tithe("select", *arguments).code == 0
    assert manifest(tmp_path)["run"]["reused"] == []


def test_the_same_content_under_another_name_is_found(tithe: Tithe, corpus: Path, tmp_path: Path) -> None:
    assert tithe("select", corpus, *BUDGET, "--work-dir", "work", "-o", "s.jsonl").code == 0
    corpus.rename(tmp_path / "renamed.jsonl")
    assert tithe("select", "renamed.jsonl", *BUDGET, "--work-dir", "work", "-o", "t.jsonl").code == 0
    assert manifest(tmp_path, "t.jsonl")["run"]["reused"] == ["embeddings", "clusters"]


def test_bad_records_are_remembered(tithe: Tithe, tmp_path: Path) -> None:
    records = make_records(300)
    records[7]["text"] = None
    write_jsonl(tmp_path / "c.jsonl", records)
    arguments = ("c.jsonl", *BUDGET, "--work-dir", "work", "--on-bad-record", "skip", "--loss", "column:loss")
    assert tithe("select", *arguments, "-o", "s.jsonl").code == 0
    assert tithe("select", *arguments, "-o", "t.jsonl").code == 0
    first, second = manifest(tmp_path), manifest(tmp_path, "t.jsonl")
    assert first["bad_records"] == second["bad_records"]
    assert first["bad_records"]["count"] == 1
    assert (tmp_path / "s.jsonl").read_bytes() == (tmp_path / "t.jsonl").read_bytes()


def test_a_damaged_entry_is_named_and_made_anew(tithe: Tithe, corpus: Path, tmp_path: Path) -> None:
    assert tithe("select", corpus, *BUDGET, "--work-dir", "work", "-o", "s.jsonl").code == 0
    (labels,) = (tmp_path / "work").glob("clusters-*/labels.npy")
    labels.write_bytes(labels.read_bytes()[:-1] + b"\xff")
    ran = tithe("select", corpus, *BUDGET, "--work-dir", "work", "-o", "t.jsonl")
    assert ran.code == 0, ran.err
    assert f"{labels.parent.relative_to(tmp_path)}: is damaged, and is made anew" in ran.err
    assert (tmp_path / "t.jsonl").read_bytes() == (tmp_path / "s.jsonl").read_bytes()
    assert "damaged" not in tithe("select", corpus, *BUDGET, "--work-dir", "work", "-o", "u.jsonl").err


@pytest.mark.parametrize("sampler", ["pivotal", "iid"])
def test_excluded_records_are_not_drawn_and_the_rest_is_estimated_without_bias(
    tithe: Tithe, corpus: Path, tmp_path: Path, sampler: str
) -> None:
    arguments = (corpus, *BUDGET, "--work-dir", "work", "--loss", "column:loss", "--force", "--sampler", sampler)
    assert tithe("select", *arguments, "-o", "first.jsonl").code == 0
    taken = set(rows(tmp_path, "first.jsonl"))
    losses = np.array([record["loss"] for record in read_jsonl(corpus)])
    rest = np.array([row not in taken for row in range(600)])
    errors = []
    for seed in range(40):
        ran = tithe("select", *arguments, "-o", "s.jsonl", "--exclude", "first.jsonl", "--seed", seed)
        assert ran.code == 0, ran.err
        drawn = pq.read_table(tmp_path / "s.jsonl.rows.parquet")
        assert not taken & set(drawn["row"].to_pylist())
        errors.append(drawn["weight"].to_numpy() @ losses[drawn["row"].to_numpy()] - losses[rest].sum())
    assert abs(np.mean(errors)) < 4 * np.std(errors) / np.sqrt(len(errors))
    assert manifest(tmp_path)["excluded"] == len(taken)


def test_what_cannot_be_excluded_is_said(tithe: Tithe, corpus: Path, tmp_path: Path) -> None:
    other = write_jsonl(tmp_path / "other.jsonl", make_records(100, seed=1))
    assert tithe("select", other, "--clusters", "5", "--size", "20", "-o", "o.jsonl").code == 0
    ran = tithe("select", corpus, *BUDGET, "-o", "s.jsonl", "--exclude", "o.jsonl")
    assert (ran.code, "--exclude o.jsonl: was drawn from other inputs" in ran.err) == (1, True)
    ran = tithe("select", corpus, *BUDGET, "-o", "s.jsonl", "--exclude", "nothing.jsonl")
    assert (ran.code, "--exclude nothing.jsonl: its rows file and manifest must lie beside it" in ran.err) == (1, True)
    assert tithe("select", corpus, "--fraction", "1", "-o", "all.jsonl").code == 0
    ran = tithe("select", corpus, *BUDGET, "-o", "s.jsonl", "--exclude", "all.jsonl")
    assert (ran.code, "leaves no record to choose from" in ran.err) == (1, True)


def test_centers_says_what_it_needs(tithe: Tithe, corpus: Path, tmp_path: Path) -> None:
    assert "-o FILE is needed" in tithe("centers", corpus, "--work-dir", "work").err
    write_jsonl(tmp_path / "rows.jsonl", [{"text": "a", "row": 1}])
    ran = tithe("centers", "rows.jsonl", "--work-dir", "work", "-o", "c.jsonl")
    assert (ran.code, "has a field 'row'" in ran.err) == (2, True)
    (tmp_path / "c.jsonl").write_text("precious")
    ran = tithe("centers", corpus, "--work-dir", "work", "-o", "c.jsonl")
    assert (ran.code, "exists already" in ran.err) == (1, True)
