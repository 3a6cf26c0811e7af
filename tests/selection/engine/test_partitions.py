"""A selection part by part, without a cluster: the same as in one process, as far as the parts leave the order alone."""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import Tithe, make_records, read_jsonl, write_jsonl
from tithe.cli.encoder import encoder_of
from tithe.selection.corpus.corpus import open_corpus
from tithe.selection.corpus.partitions import cut
from tithe.selection.engine.executor import Executor, InProcess, nothing
from tithe.selection.engine.hashes import sha256
from tithe.selection.engine.stages import Advance
from tithe.selection.errors import TitheError
from tithe.selection.options.options import Options
from tithe.selection.pipeline import Selection, select


def moved(value: Any) -> Any:
    """What comes out in another process, as Ray takes it there."""
    cloudpickle: Any = importlib.import_module("ray.cloudpickle")
    return cloudpickle.loads(cloudpickle.dumps(value))


class Elsewhere(InProcess):
    """Calls as in other processes: what goes there and comes back is pickled, and nothing else is shared but files."""

    remote = True

    def map(
        self,
        function: Callable[..., Any],
        calls: Iterable[tuple[Any, ...]],
        advance: Advance = nothing,
        worth: Callable[[Any], int] = lambda result: 0,
    ) -> Iterator[Any]:
        for arguments in calls:
            sent, given = moved((function, arguments))
            found = moved(sent(*given, advance=nothing))
            advance(worth(found))
            yield found


def many(corpus: Path, parts: int = 7) -> Elsewhere:
    """An executor for so many partitions."""
    return Elsewhere(corpus.stat().st_size // parts)


def run(folder: Path, corpus: Path, executor: Executor, **options: Any) -> Selection:
    """A selection, with a work folder of its own for each name of an output; the largest, where there are several."""
    return runs(folder, corpus, executor, **options)[0]


def runs(
    folder: Path, corpus: Path, executor: Executor, *, stdin: BinaryIO | None = None, **options: Any
) -> list[Selection]:
    """All selections of a run."""
    name = options.pop("name", "s.jsonl")
    options = {"encoder": "lexical", "work_dir": folder / f"{name}.work", **options}
    options["engine"] = "ray" if executor.remote else "local"  # of which nothing else is needed here
    made = Options(inputs=(str(corpus),), output=folder / name, force=True, **options)
    return select(made, encoder_of(made), executor=executor, stdin=stdin)


def rows(selection: Selection) -> pa.Table:
    return pq.read_table(f"{selection.path}.rows.parquet")


def same(one: Selection, other: Selection) -> None:
    """All that was written is the same, byte for byte, but for what says where and when, and for sums that are added up
    partition by partition."""
    assert isinstance(one.path, Path) and isinstance(other.path, Path)
    assert one.path.read_bytes() == other.path.read_bytes()
    assert rows(one).equals(rows(other))
    for ending in ("clusters.parquet",):
        assert pq.read_table(f"{one.path}.{ending}").equals(pq.read_table(f"{other.path}.{ending}"))
    kept = [
        {name: value for name, value in selection.manifest.items() if name not in ("run", "options", "nested")}
        for selection in (one, other)
    ]
    for name in SUMS:
        found, expected = (manifest.pop(name) for manifest in kept)
        assert found == pytest.approx(expected, rel=1e-6)
    assert kept[0] == kept[1]


SUMS = ("kmeans_cost",)


def alike(one: Selection, other: Selection) -> None:
    """The same records, with the same weights but for rounding."""
    (expected, found) = (rows(selection) for selection in (one, other))
    assert expected["row"].equals(found["row"])
    for name in ("weight", "inclusion_probability"):
        np.testing.assert_allclose(found[name].to_numpy(), expected[name].to_numpy(), rtol=1e-5)


def write_vectors(path: Path, count: int, dimensions: int = 6, *, groups: int = 100) -> Path:
    """Parquet with vectors around a few means, and losses that follow these."""
    rng = np.random.default_rng(1)
    topic = rng.integers(0, 7, count)
    vectors = (rng.standard_normal((7, dimensions))[topic] * 3 + rng.standard_normal((count, dimensions))).astype("f4")
    emb = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), dimensions)
    table = pa.table({"id": np.arange(count), "emb": emb, "loss": 1.0 + topic + rng.random(count)})
    pq.write_table(table, path, row_group_size=groups)
    return path


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"loss": "column:loss"},
        {"loss": "column:loss", "validate": 50, "score_subset": True},
        {"size": 100, "keep_centers": True, "seed": 3, "temper": 0.5},
        {"fraction": (0.1,), "weights_as": "replicate"},
        {"method": "uniform", "size": 97},
        {"always": ("topic=7",), "never": ("topic=3", "topic=5"), "loss": "column:loss", "validate": 50},
        {"sampler": "iid", "epsilon": 0.2, "keep_centers": True, "loss": "column:loss"},
        {"sampler": "simple", "size": 101, "loss": "column:loss", "validate": 50, "score_subset": True},
        {"tokens": 1500, "loss": "column:loss", "validate": 50, "score_subset": True, "always": ("topic=7",)},
        {"method": "low-rank", "size": 90, "loss": "column:loss", "validate": 40},
        {"method": "auto", "size": 90, "loss": "column:loss", "never": ("topic=4",)},
        {"method": "k-center", "size": 40, "never": ("topic=4",)},
        {"tokens": 900, "token_column": "id", "weights_as": "replicate"},
        {"sampler": "simple", "method": "uniform", "fraction": (0.211,), "seed": 4},
        {"fraction": (0.2, 0.05, 0.1), "loss": "column:loss", "validate": 50, "keep_centers": True, "clusters": 12},
        {"sampler": "simple", "fraction": (0.3, 0.1), "loss": "column:loss", "validate": 60},
        {"group_by": "topic", "size": 110},
        {"group_by": "topic", "size": 110, "group_min": 3, "group_max": 20, "loss": "column:loss", "validate": 60},
        {"group_by": "topic", "size": 110, "group_share": ("0=0.4,1=0.1,other=0.5",), "always": ("topic=7",)},
        {"group_by": "topic", "keep_centers": True, "clusters": 12, "fraction": (0.3, 0.1)},
        {"dedup": True, "size": 90, "loss": "column:loss", "validate": 80, "score_subset": True},
        {"dedup": True, "size": 90, "always": ("topic=6",), "never": ("topic=2",), "keep_centers": True, "clusters": 9},
        {"dedup": True, "size": 90, "group_by": "topic", "loss": "column:loss", "weights_as": "replicate"},
        {"dedup": True, "dedup_near": 0.7, "size": 60, "always": ("topic=6",)},
        {"tokens": 3000, "loss": "column:loss", "never": ("topic=2",), "dedup": True},
        {"task": "regression", "features": ("id", "topic"), "target": "loss", "encoder": "features", "size": 60},
    ],
    ids=str,
)
def test_partitions_here_or_elsewhere_give_the_same_bytes(
    corpus: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    one = runs(tmp_path, corpus, InProcess(), name="a.jsonl", **options)
    here = runs(tmp_path, corpus, InProcess(corpus.stat().st_size // 7), name="b.jsonl", **options)
    there = runs(tmp_path, corpus, many(corpus), name="c.jsonl", **options)
    # The directions rest on sums over the vectors of each partition, which are rounded in another way.
    rounded = options.get("method") in ("low-rank", "auto")
    for expected, found, elsewhere in zip(one, here, there, strict=True):
        (alike if rounded else same)(expected, found)
        same(found, elsewhere)


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_partitions_of_vectors_give_the_same_bytes(tmp_path: Path, kind: str) -> None:
    vectors = write_vectors(tmp_path / "c.parquet", 1500)
    if kind == "jsonl":
        vectors = write_jsonl(tmp_path / "in.jsonl", pq.read_table(vectors).to_pylist())
    options = {"encoder": "column:emb", "loss": "column:loss"}
    one = run(tmp_path, vectors, InProcess(), name="a.jsonl", **options)
    assert one.manifest["n"] == 1500
    for name, executor in (("b.jsonl", InProcess(5000)), ("c.jsonl", Elsewhere(5000))):
        same(one, run(tmp_path, vectors, executor, name=name, **options))


def test_what_one_executor_embedded_the_other_finds(tmp_path: Path) -> None:
    corpus = write_jsonl(tmp_path / "c.jsonl", make_records(1200))
    size, work = corpus.stat().st_size // 4, tmp_path / "w"
    for first, second in ((InProcess, Elsewhere), (Elsewhere, InProcess)):
        made = run(tmp_path, corpus, first(size), name="a.jsonl", work_dir=work)
        assert made.manifest["run"]["texts_encoded"] > 0
        found = run(tmp_path, corpus, second(size), name="b.jsonl", work_dir=work)
        assert found.manifest["run"]["texts_encoded"] == 0
        assert found.manifest["run"]["reused"] == ["embeddings", "clusters"]
        same(made, found)
        shutil.rmtree(work)


def test_the_next_run_finds_what_this_one_kept(tmp_path: Path) -> None:
    corpus = write_jsonl(tmp_path / "c.jsonl", make_records(1200))
    executor = Elsewhere(corpus.stat().st_size // 4)
    first = run(tmp_path, corpus, executor)
    again = run(tmp_path, corpus, executor)
    assert again.manifest["run"]["reused"] == ["embeddings", "clusters"]
    assert again.manifest["run"]["texts_encoded"] == 0
    same(first, again)
    finer = run(tmp_path, corpus, executor, clusters=60)
    assert finer.manifest["run"]["reused"] == ["embeddings"]


def test_bad_records_are_left_out_of_every_part(tmp_path: Path) -> None:
    records = make_records(900)
    lines = [json.dumps(record) for record in records]
    for bad in (3, 450, 451, 899):
        lines[bad] = '{"id": 1, "text": null}' if bad != 451 else "no JSON"
    corpus = tmp_path / "c.jsonl"
    corpus.write_text("\ufeff" + "\n\n".join(lines), encoding="utf-8")
    options = {"on_bad_record": "skip", "loss": "none"}
    local = run(tmp_path, corpus, InProcess(), name="a.jsonl", **options)
    parts = run(tmp_path, corpus, Elsewhere(corpus.stat().st_size // 5), name="b.jsonl", **options)
    assert parts.manifest["bad_records"] == local.manifest["bad_records"]
    assert parts.manifest["bad_records"]["count"] == 4
    assert (parts.manifest["rows"], parts.manifest["n"]) == (900, 896)
    table = rows(parts)
    ids = [record["id"] for record in read_jsonl(tmp_path / "b.jsonl")]
    assert table["row"].to_pylist() == table["row_in_file"].to_pylist() == ids
    with pytest.raises(TitheError, match=r"c\.jsonl, line 7: 'text' is null"):
        run(tmp_path, corpus, Elsewhere(corpus.stat().st_size // 5), name="d.jsonl")


def test_bad_vectors_are_left_out_of_every_part(tmp_path: Path) -> None:
    table = pq.read_table(write_vectors(tmp_path / "c.parquet", 700, groups=90))
    emb: list[Any] = table["emb"].to_pylist()
    emb[5], emb[333], emb[699] = None, [1.0], [float("nan")] * 6
    corpus = tmp_path / "d.parquet"
    pq.write_table(table.set_column(1, "emb", pa.array(emb, pa.list_(pa.float32()))), corpus, row_group_size=90)
    options = {"encoder": "column:emb", "on_bad_record": "skip", "size": 650}
    local = run(tmp_path, corpus, InProcess(), name="a.parquet", **options)
    parts = run(tmp_path, corpus, Elsewhere(2000), name="b.parquet", **options)
    assert parts.manifest["bad_records"] == local.manifest["bad_records"]
    assert parts.manifest["n"] == 697
    assert pq.read_table(tmp_path / "b.parquet")["id"].to_pylist() == rows(parts)["row"].to_pylist()
    with pytest.raises(TitheError, match=r"d\.parquet, row 5: 'emb' is missing"):
        run(tmp_path, corpus, Elsewhere(2000), name="e.parquet", encoder="column:emb")


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_a_folder_of_shards_holds_what_one_file_would(tmp_path: Path, kind: str) -> None:
    vectors = write_vectors(tmp_path / "c.parquet", 900)
    corpus = vectors if kind == "parquet" else write_jsonl(tmp_path / "c.jsonl", pq.read_table(vectors).to_pylist())
    executor = Elsewhere(corpus.stat().st_size // 6)
    options = {"encoder": "column:emb", "size": 120, "work_dir": tmp_path / "w"}
    one = run(tmp_path, corpus, executor, name=f"one.{kind}", **options)
    many = run(tmp_path, corpus, executor, name="many", shards=True, **options)
    shards = sorted((tmp_path / "many").iterdir())
    assert len(shards) > 3
    drawn = rows(many)
    assert drawn.equals(rows(one))
    assert isinstance(one.path, Path)
    if kind == "jsonl":
        assert b"".join(shard.read_bytes() for shard in shards) == one.path.read_bytes()
    else:
        assert pa.concat_tables(pq.read_table(shard) for shard in shards).equals(pq.read_table(one.path))
    outputs = _outputs(tmp_path / "many")
    listed = {file["path"]: file["sha256"] for file in outputs}
    assert listed.keys() == {
        *(f"many/{shard.name}" for shard in shards), "many.rows.parquet", "many.clusters.parquet"
    }  # fmt: skip
    assert all(sha256(tmp_path / name) == digest for name, digest in listed.items())
    assert outputs[0]["lines"] == 120
    # Again, over it; but not over what is no shard.
    again = run(tmp_path, corpus, executor, name="many", shards=True, seed=1, **options)
    assert not rows(again).equals(drawn)
    (tmp_path / "many" / "mine.txt").write_text("mine")
    with pytest.raises(TitheError, match=r"many: holds 'mine\.txt', which is no shard"):
        run(tmp_path, corpus, executor, name="many", shards=True, **options)
    assert not list(tmp_path.glob(".many*"))


def _outputs(subset: Path) -> list[dict[str, Any]]:
    return json.loads(Path(f"{subset}.manifest.json").read_text(encoding="utf-8"))["outputs"]


def test_shards_are_for_the_engine_that_has_parts(tithe: Tithe, corpus: Path) -> None:
    ran = tithe("select", corpus, "-o", "out/")
    assert (ran.code, ran.err) == (2, "tithe: -o out/: a folder of shards is written by --engine ray\n")


def test_files_that_are_empty_or_compressed_are_parts_too(tmp_path: Path, tithe: Tithe) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    records = make_records(600)
    write_jsonl(folder / "a.jsonl", records[:300])
    (folder / "b.jsonl").write_bytes(b"")
    with pa.CompressedOutputStream(str(folder / "c.jsonl.zst"), "zstd") as out:
        out.write("".join(json.dumps(record) + "\n" for record in records[300:]).encode())
    selection = run(tmp_path, folder, Elsewhere(4000), size=50)
    assert selection.manifest["n"] == 600
    assert [file["rows"] for file in selection.manifest["inputs"]] == [300, 0, 300]
    with pytest.raises(TitheError, match="holds no records"):
        run(tmp_path, folder / "b.jsonl", Elsewhere(), name="e.jsonl")


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_parts_hold_every_record_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"c.{kind}"
    if kind == "jsonl":
        write_jsonl(path, [{"id": i, "text": "x" * (i % 50)} for i in range(500)])
    else:
        pq.write_table(pa.table({"id": np.arange(500)}), path, row_group_size=33)
    files = open_corpus([str(path)], spool=tmp_path).files
    for partition_bytes in (1, 100, 3000, 1 << 30):
        parts = cut(files, partition_bytes)
        found = [
            record["id"]
            for part in parts
            for batch in type(open_corpus([str(path)], spool=tmp_path))(part.files).batches(None)
            for record in batch.records()
            if isinstance(record, dict)
        ]
        assert found == list(range(500))
        assert (len(parts) > 1) == (partition_bytes < 1 << 30)


def test_gpus_are_for_the_engine_that_has_workers(tithe: Tithe, corpus: Path) -> None:
    ran = tithe("select", corpus, "-o", "s.jsonl", "--num-gpus", 1)
    assert (ran.code, ran.err) == (2, "tithe: --num-gpus means nothing without --engine ray\n")
