"""A selection part by part, without a cluster: the same as in one process, as far as the parts leave the order alone."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import Tithe, make_records, read_jsonl, write_jsonl
from tithe.embedders.registry import make_encoder
from tithe.selection.corpus import open_corpus
from tithe.selection.designs.sampling import draw_pivotal, inclusion_probabilities
from tithe.selection.engines.engine import Engine, InParts, Local
from tithe.selection.engines.executor import Serial
from tithe.selection.engines.parts import PART_BYTES, cut
from tithe.selection.errors import TitheError
from tithe.selection.hashes import sha256
from tithe.selection.options import Options
from tithe.selection.pipeline import Selection, select


def in_parts(part_bytes: int = PART_BYTES) -> InParts:
    return InParts(Serial(), part_bytes)


def run(folder: Path, corpus: Path, engine: Engine, **options: Any) -> Selection:
    """A selection, with a work folder of its own for each name of an output; the largest, where there are several."""
    return runs(folder, corpus, engine, **options)[0]


def runs(
    folder: Path, corpus: Path, engine: Engine, *, stdin: BinaryIO | None = None, **options: Any
) -> list[Selection]:
    """All selections of a run."""
    name = options.pop("name", "s.jsonl")
    options = {"encoder": "lexical", "work_dir": folder / f"{name}.work", **options}
    options["engine"] = "local" if isinstance(engine, Local) else "ray"  # of which nothing else is needed here
    made = Options(inputs=(str(corpus),), output=folder / name, force=True, **options)
    return select(made, make_encoder(made.encoder), engine=engine, stdin=stdin)


def rows(selection: Selection) -> pa.Table:
    return pq.read_table(f"{selection.path}.rows.parquet")


def same(one: Selection, other: Selection) -> None:
    """All that was written is the same, but for what says where and when."""
    assert isinstance(one.path, Path) and isinstance(other.path, Path)
    assert one.path.read_bytes() == other.path.read_bytes()
    assert rows(one).equals(rows(other))
    for ending in ("clusters.parquet",):
        assert pq.read_table(f"{one.path}.{ending}").equals(pq.read_table(f"{other.path}.{ending}"))
    kept = [
        {name: value for name, value in selection.manifest.items() if name not in ("run", "options", "nested")}
        for selection in (one, other)
    ]
    assert _rounded(kept[0]) == _rounded(kept[1])


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
    ],
    ids=str,
)
def test_one_part_gives_what_one_process_gives(corpus: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    local = run(tmp_path, corpus, Local(), name="a.jsonl", **options)
    same(local, run(tmp_path, corpus, in_parts(), name="b.jsonl", **options))


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_one_part_of_vectors_gives_what_one_process_gives(tmp_path: Path, kind: str) -> None:
    vectors = write_vectors(tmp_path / "c.parquet", 1500)
    if kind == "jsonl":
        vectors = write_jsonl(tmp_path / "c.jsonl", pq.read_table(vectors).to_pylist())
    options = {"encoder": "column:emb", "loss": "column:loss"}
    local = run(tmp_path, vectors, Local(), name="a.jsonl", **options)
    same(local, run(tmp_path, vectors, in_parts(), name="b.jsonl", **options))


@pytest.mark.parametrize("encoder", ["lexical", "column:emb"])
def test_many_parts_give_the_same_clusters_and_probabilities(tmp_path: Path, encoder: str) -> None:
    if encoder == "lexical":
        corpus = write_jsonl(tmp_path / "c.jsonl", make_records(2000))
        part_bytes = corpus.stat().st_size // 9
    else:
        corpus, part_bytes = write_vectors(tmp_path / "c.parquet", 2000, groups=150), 5000
    options = {"encoder": encoder, "loss": "column:loss", "validate": 40}
    local = run(tmp_path, corpus, Local(), name="a.jsonl", **options)
    parts = run(tmp_path, corpus, in_parts(part_bytes), name="b.jsonl", **options)
    for name in ("n", "k", "d", "rows", "encoder", "text", "loss_queries", "inputs"):
        assert parts.manifest[name] == local.manifest[name]
    for name in ("kmeans_cost", "lambda"):
        assert parts.manifest[name] == pytest.approx(local.manifest[name], rel=1e-5)
    for name in ("estimate", "validation", "lengths", "losses"):
        assert _rounded(parts.manifest["evidence"][name]) == _rounded(local.manifest["evidence"][name])
    one, other = (selection.manifest["evidence"]["error"]["design"] for selection in (local, parts))
    assert other == pytest.approx(one, rel=0.1)
    # What each record's probability is does not depend on the parts; who is drawn does.
    one, other = ({row["row"]: row for row in rows(selection).to_pylist()} for selection in (local, parts))
    assert len(other) == len(one) and other.keys() != one.keys()
    both = one.keys() & other.keys()
    assert len(both) > 20
    for name in ("cluster", "is_centre", "distance", "score", "inclusion_probability", "weight", "row_in_file"):
        for row in both:
            assert other[row][name] == pytest.approx(one[row][name], rel=1e-4, abs=1e-6)
    # The lines written are those of the rows.
    ids = [record["id"] for record in read_jsonl(tmp_path / "b.jsonl")]
    assert ids == sorted(other)


def _rounded(value: Any) -> Any:
    """The value of one subset's sample, and of bins at whose edge a rounding decides, left out."""
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items() if name not in ("subset", "corpus", "points")}
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def test_the_next_run_finds_what_this_one_kept(tmp_path: Path) -> None:
    corpus = write_jsonl(tmp_path / "c.jsonl", make_records(1200))
    engine = in_parts(corpus.stat().st_size // 4)
    first = run(tmp_path, corpus, engine)
    again = run(tmp_path, corpus, engine)
    assert again.manifest["run"]["reused"] == ["embeddings", "clusters"]
    assert again.manifest["run"]["texts_encoded"] == 0
    same(first, again)
    finer = run(tmp_path, corpus, engine, clusters=60)
    assert finer.manifest["run"]["reused"] == ["embeddings"]


def test_bad_records_are_left_out_of_every_part(tmp_path: Path) -> None:
    records = make_records(900)
    lines = [json.dumps(record) for record in records]
    for bad in (3, 450, 451, 899):
        lines[bad] = '{"id": 1, "text": null}' if bad != 451 else "no JSON"
    corpus = tmp_path / "c.jsonl"
    corpus.write_text("\ufeff" + "\n\n".join(lines), encoding="utf-8")
    options = {"on_bad_record": "skip", "loss": "none"}
    local = run(tmp_path, corpus, Local(), name="a.jsonl", **options)
    parts = run(tmp_path, corpus, in_parts(corpus.stat().st_size // 5), name="b.jsonl", **options)
    assert parts.manifest["bad_records"] == local.manifest["bad_records"]
    assert parts.manifest["bad_records"]["count"] == 4
    assert (parts.manifest["rows"], parts.manifest["n"]) == (900, 896)
    table = rows(parts)
    ids = [record["id"] for record in read_jsonl(tmp_path / "b.jsonl")]
    assert table["row"].to_pylist() == table["row_in_file"].to_pylist() == ids
    with pytest.raises(TitheError, match=r"c\.jsonl, line 7: 'text' is null"):
        run(tmp_path, corpus, in_parts(corpus.stat().st_size // 5), name="d.jsonl")


def test_bad_vectors_are_left_out_of_every_part(tmp_path: Path) -> None:
    table = pq.read_table(write_vectors(tmp_path / "c.parquet", 700, groups=90))
    emb: list[Any] = table["emb"].to_pylist()
    emb[5], emb[333], emb[699] = None, [1.0], [float("nan")] * 6
    corpus = tmp_path / "d.parquet"
    pq.write_table(table.set_column(1, "emb", pa.array(emb, pa.list_(pa.float32()))), corpus, row_group_size=90)
    options = {"encoder": "column:emb", "on_bad_record": "skip", "size": 650}
    local = run(tmp_path, corpus, Local(), name="a.parquet", **options)
    parts = run(tmp_path, corpus, in_parts(2000), name="b.parquet", **options)
    assert parts.manifest["bad_records"] == local.manifest["bad_records"]
    assert parts.manifest["n"] == 697
    assert pq.read_table(tmp_path / "b.parquet")["id"].to_pylist() == rows(parts)["row"].to_pylist()
    with pytest.raises(TitheError, match=r"d\.parquet, row 5: 'emb' is missing"):
        run(tmp_path, corpus, in_parts(2000), name="e.parquet", encoder="column:emb")


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_a_folder_of_shards_holds_what_one_file_would(tmp_path: Path, kind: str) -> None:
    vectors = write_vectors(tmp_path / "c.parquet", 900)
    corpus = vectors if kind == "parquet" else write_jsonl(tmp_path / "c.jsonl", pq.read_table(vectors).to_pylist())
    engine = in_parts(corpus.stat().st_size // 6)
    options = {"encoder": "column:emb", "size": 120, "work_dir": tmp_path / "w"}
    one = run(tmp_path, corpus, engine, name=f"one.{kind}", **options)
    many = run(tmp_path, corpus, engine, name="many", shards=True, **options)
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
    again = run(tmp_path, corpus, engine, name="many", shards=True, seed=1, **options)
    assert not rows(again).equals(drawn)
    (tmp_path / "many" / "mine.txt").write_text("mine")
    with pytest.raises(TitheError, match=r"many: holds 'mine\.txt', which is no shard"):
        run(tmp_path, corpus, engine, name="many", shards=True, **options)
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
    selection = run(tmp_path, folder, in_parts(4000), size=50)
    assert selection.manifest["n"] == 600
    assert [file["rows"] for file in selection.manifest["inputs"]] == [300, 0, 300]
    with pytest.raises(TitheError, match="holds no records"):
        run(tmp_path, folder / "b.jsonl", in_parts(), name="e.jsonl")


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_parts_hold_every_record_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"c.{kind}"
    if kind == "jsonl":
        write_jsonl(path, [{"id": i, "text": "x" * (i % 50)} for i in range(500)])
    else:
        pq.write_table(pa.table({"id": np.arange(500)}), path, row_group_size=33)
    files = open_corpus([str(path)], spool=tmp_path).files
    for part_bytes in (1, 100, 3000, 1 << 30):
        parts = cut(files, part_bytes)
        found = [
            record["id"]
            for part in parts
            for batch in type(open_corpus([str(path)], spool=tmp_path))([part.file]).batches(None)
            for record in batch.records()
            if isinstance(record, dict)
        ]
        assert found == list(range(500))
        assert (len(parts) > 1) == (part_bytes < 1 << 30)


@pytest.mark.parametrize(
    ("option", "named"),
    [
        (("--task", "regression", "--features", "id", "--target", "loss"), "--task regression"),
        (("--dedup-near", "0.9"), "--dedup-near"),
    ],
)
def test_what_the_engine_does_not_do_is_named(tithe: Tithe, corpus: Path, option: tuple[str, ...], named: str) -> None:
    ran = tithe("select", corpus, "-o", "s.jsonl", "--engine", "ray", *option)
    assert (ran.code, ran.err) == (2, f"tithe: --engine ray: does not do {named} yet; leave that out, or --engine\n")


def test_gpus_are_for_the_engine_that_has_workers(tithe: Tithe, corpus: Path) -> None:
    ran = tithe("select", corpus, "-o", "s.jsonl", "--num-gpus", 1)
    assert (ran.code, ran.err) == (2, "tithe: --num-gpus means nothing without --engine ray\n")


def test_over_many_seeds_parts_err_as_one_process_does(tmp_path: Path) -> None:
    """500 seeds: the mean of the estimated total is right, within 4 standard errors; so is the number drawn of each
    cluster. The root-mean-square error is that of one process, where the distance is most of what losses differ by,
    within 15% (the standard error of the ratio is 4.5%)."""
    from tests.selection.engines.test_line import Held

    from tithe.selection.engines.cluster_order import ScatteredOrder
    from tithe.selection.engines.scattered import ScatteredHome

    rng = np.random.default_rng(5)
    n, k, parts, size = 6000, 40, 12, 300
    labels = rng.integers(0, k, n).astype(np.int32)
    distances = rng.gamma(2.0, size=n).astype(np.float32)
    losses = rng.gamma(2.0, size=k)[labels] + 0.3 * distances + 0.3 * rng.random(n)
    scores = (0.5 + distances / distances.mean()).astype(np.float32)
    ranks = rng.permutation(k)
    edges = np.linspace(0, n, parts + 1).astype(int).tolist()
    arrays = {"labels": labels, "squared_distances": distances, "scores": scores}
    places = [
        Held(low, high - low, {name: array[low:high] for name, array in arrays.items()})
        for low, high in pairwise(edges)
    ]
    home = ScatteredHome(Serial(), places)
    keys = np.where(ranks[labels] % 2 == 0, distances, -distances)
    order = np.lexsort((keys, ranks[labels]))
    scattered, together = inclusion_probabilities(home.quantity("scores"), size), inclusion_probabilities(scores, size)
    errors: dict[str, list[float]] = {"parts": [], "one": []}
    drawn = np.zeros(k)
    for seed in range(500):
        for name, pi, along in (("parts", scattered, ScatteredOrder(home, ranks)), ("one", together, order)):
            sample = draw_pivotal(pi, along, np.random.default_rng(seed))
            errors[name].append(float(sample.weights @ losses[sample.positions]) / losses.sum() - 1)
            if name == "parts":
                drawn += np.bincount(labels[sample.positions], minlength=k)
    of_parts, of_one = np.array(errors["parts"]), np.array(errors["one"])
    assert abs(of_parts.mean()) < 4 * of_parts.std() / np.sqrt(500)
    mass = np.bincount(labels, together[:], minlength=k)
    np.testing.assert_allclose(drawn / 500, mass, atol=4 * 0.5 / np.sqrt(500))
    assert np.sqrt((of_parts**2).mean() / (of_one**2).mean()) == pytest.approx(1, abs=0.15)
