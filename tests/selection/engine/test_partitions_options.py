"""Options of a selection part by part: what they do in one process they do with one part, and mean with many."""

from __future__ import annotations

import gzip
import io
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import Tithe, make_records, read_jsonl, write_jsonl
from tests.selection.engine.test_partitions import Elsewhere, many, rows, run, runs, same, write_vectors
from tithe.embedders.registry import make_encoder
from tithe.selection.centres import write_centres
from tithe.selection.clustering.order import RandomKeys
from tithe.selection.engine.executor import Executor, InProcess
from tithe.selection.errors import TitheError, UsageError
from tithe.selection.options.options import Options


def ids(path: Path) -> list[int]:
    return [record["id"] for record in read_jsonl(path)]


def test_excluded_records_are_left_out_by_parts_as_by_one_process(corpus: Path, tmp_path: Path) -> None:
    first = run(tmp_path, corpus, InProcess(), name="first.jsonl", size=80)
    options = {"exclude": (str(first.path),), "size": 70, "seed": 2, "loss": "column:loss"}
    local = run(tmp_path, corpus, InProcess(), name="a.jsonl", **options)
    parts = run(tmp_path, corpus, many(corpus), name="c.jsonl", **options)
    same(local, parts)
    assert parts.manifest["excluded"] == 80
    assert len(ids(tmp_path / "c.jsonl")) == 70
    assert not set(ids(tmp_path / "c.jsonl")) & set(ids(tmp_path / "first.jsonl"))
    assert parts.weights.total == pytest.approx(520, rel=0.05)


def test_rows_are_excluded_although_bad_records_lie_between_them(tmp_path: Path) -> None:
    lines = [json.dumps(record) for record in make_records(400)]
    for bad in (0, 3, 150, 399):
        lines[bad] = "{}"
    corpus = tmp_path / "c.jsonl"
    corpus.write_text("\n".join(lines))
    options = {"on_bad_record": "skip", "size": 60, "always": ("topic=7",), "never": ("topic=4",)}
    first = run(tmp_path, corpus, many(corpus), name="first.jsonl", **options)
    options |= {"exclude": (str(first.path),), "always": ()}
    local = run(tmp_path, corpus, InProcess(), name="a.jsonl", **options)
    parts = run(tmp_path, corpus, many(corpus), name="b.jsonl", **options)
    for name in ("excluded", "never", "always", "n"):
        assert parts.manifest[name] == local.manifest[name]
    left = set(ids(tmp_path / "first.jsonl"))
    for selection, records in ((first, "first.jsonl"), (parts, "b.jsonl")):
        assert rows(selection)["row"].to_pylist() == ids(tmp_path / records)
        assert all(record["topic"] != 4 for record in read_jsonl(tmp_path / records))
    assert not left & set(ids(tmp_path / "b.jsonl"))
    assert {r["id"] for r in map(json.loads, lines) if r and r["topic"] == 7} <= left


def test_records_that_are_certain_must_fit(corpus: Path, tmp_path: Path) -> None:
    for executor in (InProcess(), many(corpus)):
        with pytest.raises(UsageError, match=r"^--always: \d+ records do not fit into a budget of 20 records$"):
            run(tmp_path, corpus, executor, size=20, always=("topic=0",))
        with pytest.raises(UsageError, match=r"^--never topic=99: no record has this value; 'topic' holds '\d', '"):
            run(tmp_path, corpus, executor, size=20, never=("topic=99",))


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
@pytest.mark.parametrize("parts", [1, 5])
def test_vectors_of_a_file_are_those_of_the_rows(tmp_path: Path, kind: str, parts: int) -> None:
    table = pq.read_table(write_vectors(tmp_path / "c.parquet", 700))
    vectors = np.array(table["emb"].to_pylist(), np.float32)
    vectors[[5, 444]] = np.nan
    np.save(tmp_path / "e.npy", vectors)
    corpus = tmp_path / f"plain.{kind}"
    if kind == "jsonl":
        write_jsonl(corpus, table.drop_columns("emb").to_pylist())
    else:
        pq.write_table(table.drop_columns("emb"), corpus, row_group_size=90)
    options = {"encoder": f"npy:{tmp_path / 'e.npy'}", "loss": "column:loss", "on_bad_record": "skip", "size": 60}
    local = run(tmp_path, corpus, InProcess(), name="a.jsonl", **options)
    executor = Elsewhere() if parts == 1 else many(corpus, parts)
    other = run(tmp_path, corpus, executor, name="b.jsonl", **options)
    if parts == 1:
        same(local, other)
    assert other.manifest["bad_records"] == local.manifest["bad_records"]
    assert other.manifest["kmeans_cost"] == pytest.approx(local.manifest["kmeans_cost"], rel=1e-5)
    assert rows(other)["row"].to_pylist() == ids(tmp_path / "b.jsonl")
    np.save(tmp_path / "e.npy", vectors[:-1])
    with pytest.raises(TitheError, match=r"e\.npy: holds 699 rows, but the corpus 700 records"):
        run(tmp_path, corpus, executor, name="c.jsonl", **options)


def test_what_must_be_unpacked_is_unpacked_where_all_see_it(tmp_path: Path) -> None:
    vectors = write_vectors(tmp_path / "c.parquet", 600)
    packed = tmp_path / "d.parquet.gz"
    packed.write_bytes(gzip.compress(vectors.read_bytes()))
    options = {"encoder": "column:emb", "size": 60}
    local = run(tmp_path, packed, InProcess(), name="a.parquet", **options)
    same(local, run(tmp_path, packed, Elsewhere(), name="b.parquet", **options))
    parts = run(tmp_path, packed, Elsewhere(5000), name="c.parquet", **options)
    assert parts.manifest["inputs"] == local.manifest["inputs"]
    assert pq.read_table(tmp_path / "c.parquet")["id"].to_pylist() == rows(parts)["row"].to_pylist()
    assert not list((tmp_path / "c.parquet.work").glob("run-*"))


def test_standard_input_is_cut_into_parts_too(corpus: Path, tmp_path: Path, tithe: Tithe) -> None:
    content = corpus.read_bytes()

    def chosen(executor: Executor, name: str) -> Any:
        return runs(tmp_path, Path("-"), executor, name=name, stdin=io.BytesIO(content), size=50, never=("topic=1",))[0]

    local = chosen(InProcess(), "a.jsonl")
    same(local, chosen(Elsewhere(), "b.jsonl"))
    parts = chosen(Elsewhere(len(content) // 5), "c.jsonl")
    assert parts.manifest["inputs"] == local.manifest["inputs"]
    assert rows(parts)["row"].to_pylist() == ids(tmp_path / "c.jsonl")
    content = content[: len(content) // 2] + b"x\n"
    with pytest.raises(TitheError, match=r"^-, line \d+: "):
        chosen(Elsewhere(len(content) // 5), "d.jsonl")


@pytest.mark.parametrize("shape", ["replicate", "resample"])
def test_records_are_repeated_within_their_shards(corpus: Path, tmp_path: Path, shape: str, tithe: Tithe) -> None:
    options = {"size": 90, "weights_as": shape, "loss": "column:loss", "work_dir": tmp_path / "w"}
    one = run(tmp_path, corpus, many(corpus), name="one.jsonl", **options)
    folder = run(tmp_path, corpus, many(corpus), name="many", shards=True, **options)
    assert rows(one).equals(rows(folder))
    shards = [ids(shard) for shard in sorted((tmp_path / "many").iterdir())]
    assert sorted(ids(tmp_path / "one.jsonl")) == sorted(itertools.chain(*shards)) and len(shards) > 3
    assert any(shard != sorted(shard) for shard in shards)
    assert folder.manifest["subset"]["lines"] == 90
    again = run(tmp_path, corpus, many(corpus), name="again", shards=True, **options)
    assert rows(again).equals(rows(folder))
    for name in sorted(path.name for path in (tmp_path / "many").iterdir()):
        assert (tmp_path / "many" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    assert tithe("verify", tmp_path / "many.manifest.json").code == 0


def test_groups_are_numbered_as_they_come_and_must_be_groups(tmp_path: Path) -> None:
    records = make_records(300)
    for i, record in enumerate(records):
        record["source"] = None if i % 7 == 0 else f"s{(i * i) % 5 + i // 100}"
    corpus = write_jsonl(tmp_path / "c.jsonl", records)
    options = {"group_by": "source", "size": 50}
    local, parts = (
        run(tmp_path, corpus, executor, name=name, **options)
        for executor, name in ((InProcess(), "a.jsonl"), (many(corpus), "b.jsonl"))
    )
    assert [g["value"] for g in parts.manifest["groups"]["values"]] == [
        g["value"] for g in local.manifest["groups"]["values"]
    ]
    with pytest.raises(UsageError, match="--group-by nothing: no record has a text in 'nothing'"):
        run(tmp_path, corpus, many(corpus), group_by="nothing", size=50)
    records[250]["source"] = ["a"]
    write_jsonl(corpus, records)
    with pytest.raises(TitheError, match=r"c\.jsonl, line 251: --group-by source: the field holds a list"):
        run(tmp_path, corpus, many(corpus), **options)


def test_records_of_one_text_are_found_whatever_partition_they_are_in(tmp_path: Path) -> None:
    records = make_records(400)
    again = [{**record, "id": 400 + i} for i, record in enumerate(records[:250] + records[:100])]
    corpus = write_jsonl(tmp_path / "in.jsonl", [*records, *again])
    options = {"dedup": True, "size": 90}
    one = run(tmp_path, corpus, InProcess(), name="a.jsonl", **options)
    same(one, run(tmp_path, corpus, many(corpus), name="c.jsonl", **options))
    texts = [record["text"] for record in read_jsonl(tmp_path / "c.jsonl")]
    assert len(set(texts)) == len(texts)
    assert float(np.sum(rows(one)["weight"].to_numpy())) == pytest.approx(750, rel=0.15)


def test_centres_to_score_are_those_of_one_process(corpus: Path, tmp_path: Path) -> None:
    for name, executor in (("a.jsonl", InProcess()), ("b.jsonl", many(corpus))):
        options = Options(
            inputs=(str(corpus),), output=None, loss="file:", validate=30, work_dir=tmp_path / f"{name}.work",
            engine="local" if name == "a.jsonl" else "ray",
        )  # fmt: skip
        write_centres(options, make_encoder("lexical"), tmp_path / name, executor=executor)
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


@pytest.mark.parametrize("more", [{}, {"dedup": True, "always": ("topic=6",)}], ids=str)
def test_records_too_long_for_the_budget_are_left_out_whatever_the_parts(tmp_path: Path, more: dict[str, Any]) -> None:
    records = [{**record, "tokens": 20 + record["id"] % 17} for record in make_records(600)]
    for at in (3, 200, 201, 599):
        records[at]["tokens"] = 2000
    records[599]["text"] = records[200]["text"]
    corpus = write_jsonl(tmp_path / "in.jsonl", records)
    options = {"tokens": 3600, "token_column": "tokens", "loss": "column:loss", **more}
    local = run(tmp_path, corpus, InProcess(), name="a.jsonl", **options)
    parts = run(tmp_path, corpus, many(corpus), name="c.jsonl", **options)
    same(local, parts)
    for name in ("duplicates", "always", "budget"):
        assert parts.manifest[name] == local.manifest[name]
    for name in ("too_long", "longest", "records"):
        assert parts.manifest["tokens"][name] == local.manifest["tokens"][name]
    assert parts.manifest["tokens"]["too_long"] == (3 if more else 4)
    assert parts.manifest["tokens"]["selected"] == pytest.approx(3600, abs=30)


@pytest.mark.parametrize("parts", [0, 1, 4])
def test_tokens_are_those_of_the_usable_records(tmp_path: Path, parts: int) -> None:
    """Whether a vector is bad is known after the tokens are counted."""
    table = pq.read_table(write_vectors(tmp_path / "c.parquet", 500, groups=60))
    emb: list[Any] = table["emb"].to_pylist()
    emb[5], emb[6], emb[300] = None, [1.0], None
    table = table.set_column(1, "emb", pa.array(emb, pa.list_(pa.float32())))
    pq.write_table(
        table.append_column("tokens", pa.array(np.arange(500) % 17)), tmp_path / "d.parquet", row_group_size=60
    )
    executor = InProcess() if parts == 0 else Elsewhere() if parts == 1 else Elsewhere(2000)
    options = {"encoder": "column:emb", "on_bad_record": "skip", "tokens": 900, "token_column": "tokens"}
    drawn = rows(run(tmp_path, tmp_path / "d.parquet", executor, name="s.parquet", **options))
    assert drawn["tokens"].to_pylist() == [row % 17 for row in drawn["row"].to_pylist()]


def test_random_keys_order_records_at_random() -> None:
    """Over 2,000 seeds each of 12 records comes at each place as often as any, by a chi-squared test (P > 0.001); and
    two neighbours in one order know nothing of the next seed's."""
    counts = np.zeros((12, 12))
    for seed in range(2000):
        counts[np.arange(12), np.argsort(RandomKeys(12, (seed, 6))[0:12])] += 1
    assert ((counts - 2000 / 12) ** 2 / (2000 / 12)).sum() < 173.6  # 121 degrees of freedom
    keys = RandomKeys(1 << 20, (0, 6))
    assert len(np.unique(keys[0 : 1 << 20])) == 1 << 20
    np.testing.assert_array_equal(keys[5:9], keys[np.array([5, 6, 7, 8])])
    assert abs(np.corrcoef(keys[0:9999], keys[1:10000])[0, 1]) < 0.04
