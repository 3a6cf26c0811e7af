"""What runs keep for later runs: embeddings by their text, and how it is listed, verified and pruned."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path

import pytest

from tests.cli.test_rounds import COUNTING_ENCODER
from tests.conftest import Tithe, make_records, write_jsonl
from tithe.selection.embedding.work_folder import open_kept

COUNTING = ("--encoder", "counting:Counting", "--clusters", "12", "--size", "60", "--force")


@pytest.fixture
def encoded(tmp_path: Path, tithe: Tithe):
    """Runs a selection with a counting encoder; returns how many texts the encoder was given."""
    (tmp_path / "counting.py").write_text(COUNTING_ENCODER)
    count = tmp_path / "encoded"

    def run(*arguments: object) -> int:
        before = len(count.read_text()) if count.exists() else 0
        ran = tithe("select", *arguments, *COUNTING, "-o", "s.jsonl")
        assert ran.code == 0, ran.err
        now = len(count.read_text()) - before
        manifest = json.loads((tmp_path / "s.jsonl.manifest.json").read_text())
        assert manifest["run"]["texts_encoded"] == now
        return now

    return run


def distinct(count: int, seed: int = 0) -> list[dict]:
    """Records of which no two have the same text."""
    return [{**record, "text": f"{record['text']} {i} {seed}"} for i, record in enumerate(make_records(count, seed))]


def test_an_append_embeds_the_new_records_only(tmp_path: Path, encoded) -> None:
    records = distinct(5000)
    write_jsonl(tmp_path / "c.jsonl", records)
    assert encoded("c.jsonl") == 5000
    write_jsonl(tmp_path / "c.jsonl", records + distinct(50, seed=1))
    assert encoded("c.jsonl") == 50
    write_jsonl(tmp_path / "more.jsonl", distinct(30, seed=2))
    assert encoded("c.jsonl", "more.jsonl") == 30


def test_neither_order_nor_files_nor_format_nor_field_matter_but_text_and_encoder_do(tmp_path: Path, encoded) -> None:
    records = distinct(600)
    write_jsonl(tmp_path / "c.jsonl", records)
    assert encoded("c.jsonl") == 600
    random.Random(0).shuffle(records)
    write_jsonl(tmp_path / "c.jsonl", records)
    assert encoded("c.jsonl") == 0
    write_jsonl(tmp_path / "a.jsonl", records[:250])
    write_jsonl(tmp_path / "b.jsonl", records[250:])
    assert encoded("b.jsonl", "a.jsonl") == 0
    write_jsonl(tmp_path / "d.jsonl", [{"body": record["text"]} for record in records])
    assert encoded("d.jsonl", "--text", "body") == 0
    assert encoded("d.jsonl", "--template", "{body}!") == 600
    assert encoded("d.jsonl", "--text", "body", "--store-dtype", "float32") == 600
    (tmp_path / "counting.py").write_text(COUNTING_ENCODER)
    assert encoded("d.jsonl", "--text", "body", "--work-dir", "other") == 600


def test_a_text_that_repeats_is_embedded_once(tmp_path: Path, encoded) -> None:
    records = distinct(300)
    write_jsonl(tmp_path / "c.jsonl", records * 11)
    assert encoded("c.jsonl") == 300


def test_a_damaged_shard_is_named_and_made_anew_with_the_same_subset(
    tmp_path: Path,
    encoded,
    tithe: Tithe,
) -> None:
    write_jsonl(tmp_path / "c.jsonl", distinct(3000))
    assert encoded("c.jsonl", "--work-dir", "work") == 3000
    subset = (tmp_path / "s.jsonl").read_bytes()
    (shard,) = (tmp_path / "work").glob("embeddings/*/*.shard")
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    ran = tithe("cache", "verify", "--work-dir", "work")
    assert ran.code == 1
    assert f"{shard.relative_to(tmp_path)}: 1,024 embeddings are damaged" in ran.err
    ran = tithe("select", "c.jsonl", *COUNTING, "-o", "s.jsonl", "--work-dir", "work")
    assert f"{shard.relative_to(tmp_path)}: 1,024 embeddings are damaged, and are made anew" in ran.err
    assert (tmp_path / "s.jsonl").read_bytes() == subset
    assert len((tmp_path / "encoded").read_text()) == 3000 + 1024
    ran = tithe("select", "c.jsonl", *COUNTING, "-o", "s.jsonl", "--work-dir", "work")
    assert "damaged" not in ran.err


def test_list_verify_and_prune(tmp_path: Path, corpus: Path, cache: Path, tithe: Tithe) -> None:
    assert tithe("cache", "list").out == f"       0 B  in {cache}\n"
    assert "there is no such folder; nothing has been kept" in tithe("cache", "verify").err
    assert tithe("select", corpus, "-o", "s.jsonl", "--clusters", "12", "--size", "60").code == 0
    listed = tithe("cache", "list")
    kinds = [line.split()[4] for line in listed.out.splitlines()[:-1]]
    assert sorted(kinds) == ["centroids", "clusters", "embeddings", "records"]
    assert "lexical, float16" in listed.out
    assert "of 1 file, 12 clusters" in listed.out
    ran = tithe("cache", "verify")
    assert (ran.code, "all of it as it was written" in ran.err) == (0, True)
    (labels,) = cache.glob("clusters-*/labels.npy")
    labels.write_bytes(b"x" + labels.read_bytes()[1:])
    ran = tithe("cache", "verify")
    assert (ran.code, f"{labels.parent}: is damaged" in ran.err) == (1, True)

    assert "give --unused-days, --max-size or both; or --all" in tithe("cache", "prune").err
    assert "'lots' is no size such as 500M or 10G" in tithe("cache", "prune", "--max-size", "lots").err
    old = time.time() - 40 * 86400
    os.utime(next(cache.glob("embeddings/*/key.json")), (old, old))
    assert tithe("cache", "prune", "--unused-days", "30").code == 0
    assert not list(cache.glob("embeddings/*"))
    assert len(list(cache.glob("*-*"))) == 3
    assert tithe("cache", "prune", "--max-size", "1M").code == 0
    assert len(list(cache.glob("*-*"))) == 3
    assert tithe("cache", "prune", "--all").code == 0
    assert not list(cache.glob("*-*"))
    # Everything can go at any time.
    first = (tmp_path / "s.jsonl").read_bytes()
    assert tithe("select", corpus, "-o", "s.jsonl", "--clusters", "12", "--size", "60", "--force").code == 0
    assert (tmp_path / "s.jsonl").read_bytes() == first


def test_nothing_is_pruned_under_a_run(cache: Path, tithe: Tithe) -> None:
    with open_kept(cache):
        ran = tithe("cache", "prune", "--all")
    assert (ran.code, ran.err) == (1, f"tithe: {cache}: a run of tithe is using it; try again when it has ended\n")


def test_float16_embeddings_give_nearly_the_clusters_of_float32_ones(
    tmp_path: Path, corpus: Path, tithe: Tithe
) -> None:
    costs = []
    for dtype in ("float16", "float32"):
        arguments = ("--clusters", "12", "--size", "60", "--store-dtype", dtype, "-o", f"{dtype}.jsonl")
        assert tithe("select", corpus, *arguments).code == 0
        costs.append(json.loads((tmp_path / f"{dtype}.jsonl.manifest.json").read_text())["kmeans_cost"])
    assert costs[0] == pytest.approx(costs[1], rel=1e-3)


def test_vectors_that_are_not_kept_have_no_store_dtype(tmp_path: Path, tithe: Tithe) -> None:
    write_jsonl(tmp_path / "c.jsonl", [{"text": "a", "v": [1.0, 2.0]}] * 10)
    ran = tithe("select", "c.jsonl", "-o", "s.jsonl", "--encoder", "column:v", "--store-dtype", "float16")
    assert (ran.code, "its vectors are not kept: leave --store-dtype out" in ran.err) == (2, True)
