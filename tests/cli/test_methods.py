"""`--method`: each does what it says, on corpora made to tell them apart."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.conftest import Tithe, read_jsonl, write_jsonl

BUDGET = ("--clusters", "40", "--size", "200", "--encoder", "column:vector", "--loss", "column:loss")


def write(path: Path, vectors: np.ndarray, losses: np.ndarray) -> Path:
    vectors = np.round(vectors, 4)
    pairs = zip(vectors.tolist(), np.round(losses, 4).tolist(), strict=True)
    return write_jsonl(path, [{"vector": vector, "loss": loss} for vector, loss in pairs])


@pytest.fixture
def low_rank(tmp_path: Path) -> Path:
    """4,000 records along six of 24 directions, in no clusters; one direction has the losses."""
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.standard_normal((24, 6)))[0]
    vectors = rng.standard_normal((4000, 6)) @ basis.T + 0.03 * rng.standard_normal((4000, 24))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    losses = 0.1 + 10 * (vectors @ basis[:, 0]) ** 2
    return write(tmp_path / "low_rank.jsonl", vectors, losses)


@pytest.fixture
def clustered(tmp_path: Path) -> Path:
    """4,000 records in 30 clear clusters in 24 directions; each has a loss of its own."""
    rng = np.random.default_rng(1)
    labels = rng.choice(30, 4000)
    vectors = rng.standard_normal((30, 24))[labels] + 0.2 * rng.standard_normal((4000, 24))
    losses = rng.gamma(0.5, 2, 30)[labels] * (0.7 + 0.6 * rng.random(4000))
    return write(tmp_path / "clustered.jsonl", vectors, losses)


def errors(tithe: Tithe, corpus: Path, *options: str) -> tuple[float, dict]:
    """Root mean square error of the mean loss over 60 seeds, and a manifest."""
    losses = np.array([record["loss"] for record in read_jsonl(corpus)])
    found = []
    for seed in range(60):
        ran = tithe(
            "select",
            corpus,
            *BUDGET,
            *options,
            "--seed",
            seed,
            "-o",
            "s.jsonl",
            "--work-dir",
            "w",
            "--force",
            "--quiet",
        )
        assert ran.code == 0, ran.err
        rows = pq.read_table("s.jsonl.rows.parquet", columns=["row", "weight"])
        found.append(rows["weight"].to_numpy() @ losses[rows["row"].to_numpy()] / len(losses) - losses.mean())
    return float(np.sqrt(np.mean(np.square(found)))), json.loads(Path("s.jsonl.manifest.json").read_text())


def test_low_rank_wins_on_a_corpus_of_low_rank_and_auto_knows(tithe: Tithe, low_rank: Path) -> None:
    by_clusters, _ = errors(tithe, low_rank, "--method", "sensitivity")
    by_directions, manifest = errors(tithe, low_rank, "--method", "low-rank")
    assert by_directions < 0.8 * by_clusters  # the standard error of each is 9%
    assert manifest["loss_queries"] == 40
    ran = tithe("select", low_rank, *BUDGET, "--method", "auto", "-o", "a.jsonl")
    assert "method: low-rank; losses of landmarks are predicted" in ran.err
    auto = json.loads(Path("a.jsonl.manifest.json").read_text())
    assert auto["method"]["chosen"] == "low-rank"
    assert 40 < auto["loss_queries"] <= 80


def test_low_rank_loses_on_a_clustered_corpus_and_auto_knows(tithe: Tithe, clustered: Path) -> None:
    by_clusters, _ = errors(tithe, clustered, "--method", "sensitivity")
    by_directions, _ = errors(tithe, clustered, "--method", "low-rank")
    assert by_clusters < 0.8 * by_directions
    ran = tithe("select", clustered, *BUDGET, "--method", "auto", "-o", "a.jsonl")
    assert "method: sensitivity; losses of landmarks are predicted" in ran.err


def test_low_rank_without_losses_weighs_what_the_directions_leave_over(tithe: Tithe, low_rank: Path) -> None:
    ran = tithe("select", low_rank, *BUDGET[:6], "--method", "low-rank", "--rank", "2", "-o", "s.jsonl")
    assert ran.code == 0, ran.err
    manifest = json.loads(Path("s.jsonl.manifest.json").read_text())
    assert (manifest["method"]["rank"], manifest["loss_queries"]) == (2, 0)
    assert manifest["weights"]["smallest"] < 0.9 * manifest["weights"]["largest"]


def test_uniform_gives_all_records_one_weight_and_simple_ignores_the_clusters(tithe: Tithe, clustered: Path) -> None:
    for sampler in ("pivotal", "simple"):
        options = ("--method", "uniform", "--sampler", sampler, "--score-subset", "--validate", "400")
        error, manifest = errors(tithe, clustered, *options)
        assert manifest["weights"]["smallest"] == pytest.approx(20)
        assert manifest["weights"]["largest"] == pytest.approx(20)
        losses = np.array([record["loss"] for record in read_jsonl(clustered)])
        uniform = losses.std() * np.sqrt((1 - 200 / 4000) / 200)
        relative = manifest["evidence"]["error"]["relative_to_uniform"]
        if sampler == "simple":
            assert error == pytest.approx(uniform, rel=0.3)
            assert relative == pytest.approx(1, abs=0.13)  # three standard errors, measured over 200 such samples
        else:
            assert error < 0.6 * uniform
            assert relative < 0.7


def test_the_forecast_by_the_centres_knows_that_simple_is_not_spread(tithe: Tithe, clustered: Path) -> None:
    tithe("select", clustered, *BUDGET, "--sampler", "simple", "--lambda", "0", "-o", "s.jsonl")
    manifest = json.loads(Path("s.jsonl.manifest.json").read_text())
    # Scores follow the losses, so it beats uniform even so, but not by what spreading over the clusters would bring.
    assert 0.4 < manifest["evidence"]["error"]["relative_to_uniform"] < 1


def test_k_center_takes_the_farthest_with_weight_one_and_claims_nothing(tithe: Tithe, clustered: Path) -> None:
    ran = tithe("select", clustered, *BUDGET[:6], "--method", "k-center", "-o", "s.jsonl")
    assert ran.code == 0, ran.err
    manifest = json.loads(Path("s.jsonl.manifest.json").read_text())
    assert manifest["weights"]["smallest"] == manifest["weights"]["largest"] == 1
    assert manifest["evidence"]["error"] is None
    assert "nothing was left to chance" in ran.err

    def radius(name: str) -> float:
        vectors = np.array([record["vector"] for record in read_jsonl(clustered)])
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        subset = vectors[pq.read_table(f"{name}.rows.parquet")["row"].to_numpy()]
        return float(np.sqrt(np.maximum(2 - 2 * (vectors @ subset.T).max(axis=1), 0)).max())

    assert tithe("select", clustered, *BUDGET[:6], "--method", "uniform", "-o", "u.jsonl").code == 0
    assert radius("s.jsonl") < 0.9 * radius("u.jsonl")


def test_centers_writes_what_the_method_asks_for(tithe: Tithe, low_rank: Path) -> None:
    arguments = (low_rank, *BUDGET[:6], "--work-dir", "w", "--method", "low-rank")
    ran = tithe("centers", *arguments, "-o", "landmarks.jsonl")
    assert ran.code == 0, ran.err
    landmarks = read_jsonl(Path("landmarks.jsonl"))
    assert len(landmarks) == 40
    write_jsonl(Path("l.jsonl"), [{"row": record["row"], "loss": record["loss"]} for record in landmarks])
    ran = tithe("select", *arguments, "--loss", "file:l.jsonl", "-o", "s.jsonl")
    assert ran.code == 0, ran.err
    assert "by the landmarks alone" in ran.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--method", "sensitivity", "--rank", "3"), "--method sensitivity: has no use for --rank"),
        (("--method", "low-rank", "--rank", "0"), "--rank 0: at least 1 is needed"),
        (("--method", "uniform", "--lambda", "1"), "--method uniform: has no use for --lambda"),
        (("--method", "uniform", "--loss", "column:loss"), "--method uniform: asks for no losses"),
        (("--method", "k-center", "--sampler", "iid"), "--method k-center: leaves nothing to chance"),
        (("--method", "auto"), "--method auto: chooses by losses"),
    ],
)
def test_options_that_a_method_has_no_use_for_are_refused(
    tithe: Tithe, corpus: Path, options: tuple[str, ...], message: str
) -> None:
    ran = tithe("select", corpus, "--size", "60", "-o", "s.jsonl", *options)
    assert (ran.code, message in ran.err) == (2, True), ran.err
