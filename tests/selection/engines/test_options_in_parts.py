"""Options of a selection part by part: what they do in one process they do with one part, and mean with many."""

from __future__ import annotations

import gzip
import io
import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.selection.engines.test_line import Held

from tests.conftest import Tithe, make_records, read_jsonl, write_jsonl
from tests.selection.engines.test_in_parts import _rounded, in_parts, rows, run, runs, same, write_vectors
from tithe.embedders.registry import make_encoder
from tithe.selection.centres import write_centres
from tithe.selection.designs.allocation import Wanted
from tithe.selection.designs.grouped import make_group_design
from tithe.selection.designs.pivotal import PivotalDesign, SimpleDesign
from tithe.selection.designs.sampling import inclusion_probabilities
from tithe.selection.designs.tokens import make_token_design
from tithe.selection.engines.cluster_order import ScatteredOrder
from tithe.selection.engines.engine import InParts, Local
from tithe.selection.engines.executor import Serial
from tithe.selection.engines.kept import mapped
from tithe.selection.engines.scattered import ScatteredHome
from tithe.selection.errors import TitheError, UsageError
from tithe.selection.frame.candidates import Candidates
from tithe.selection.frame.groups import Groups
from tithe.selection.options import Options
from tithe.selection.order import RandomKeys, stable_order
from tithe.selection.own_files import OwnPath


class Forgetful(Serial):
    """Each call finds what it needs anew, as it does in another process."""

    def map(self, function: Callable[..., Any], calls: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
        for arguments in calls:
            mapped.cache_clear()
            yield function(*arguments)


def many(corpus: Path, parts: int = 6) -> Any:
    """An engine that works on so many parts."""
    return InParts(Forgetful(), corpus.stat().st_size // parts)


def ids(path: Path) -> list[int]:
    return [record["id"] for record in read_jsonl(path)]


def test_excluded_records_are_left_out_by_parts_as_by_one_process(corpus: Path, tmp_path: Path) -> None:
    first = run(tmp_path, corpus, Local(), name="first.jsonl", size=80)
    options = {"exclude": (str(first.path),), "size": 70, "seed": 2, "loss": "column:loss"}
    local = run(tmp_path, corpus, Local(), name="a.jsonl", **options)
    same(local, run(tmp_path, corpus, in_parts(), name="b.jsonl", **options))
    parts = run(tmp_path, corpus, many(corpus), name="c.jsonl", **options)
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
    local = run(tmp_path, corpus, Local(), name="a.jsonl", **options)
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
    for engine in (Local(), many(corpus)):
        with pytest.raises(UsageError, match=r"^--always: \d+ records do not fit into a budget of 20 records$"):
            run(tmp_path, corpus, engine, size=20, always=("topic=0",))
        with pytest.raises(UsageError, match=r"^--never topic=99: no record has this value; 'topic' holds '\d', '"):
            run(tmp_path, corpus, engine, size=20, never=("topic=99",))


def test_smaller_subsets_lie_within_larger_ones(corpus: Path, tmp_path: Path) -> None:
    options = {"fraction": (0.2, 0.05, 0.1), "loss": "column:loss", "validate": 50, "keep_centers": True}
    options |= {"clusters": 12}
    local = runs(tmp_path, corpus, Local(), name="a.jsonl", **options)
    for one, other in zip(local, runs(tmp_path, corpus, in_parts(), name="b.jsonl", **options), strict=True):
        assert isinstance(one.path, Path) and isinstance(other.path, Path)
        assert one.path.read_bytes() == other.path.read_bytes()
        assert rows(one).equals(rows(other))
    inside = None
    for selection in runs(tmp_path, corpus, many(corpus), name="c.jsonl", **options):
        drawn = set(rows(selection)["row"].to_pylist())
        assert len(drawn) == selection.manifest["budget"]
        assert inside is None or drawn < inside
        inside = drawn


def test_independent_draws_are_those_of_one_process(corpus: Path, tmp_path: Path) -> None:
    """Along the records in their order nothing depends on the parts but rounding."""
    options = {"sampler": "iid", "size": 150, "loss": "column:loss", "validate": 60, "score_subset": True}
    local = run(tmp_path, corpus, Local(), name="a.jsonl", **options)
    parts = run(tmp_path, corpus, many(corpus), name="b.jsonl", **options)
    assert ids(tmp_path / "a.jsonl") == ids(tmp_path / "b.jsonl")
    assert parts.manifest["evidence"]["error"]["design"] == pytest.approx(
        local.manifest["evidence"]["error"]["design"], rel=1e-6
    )


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
    local = run(tmp_path, corpus, Local(), name="a.jsonl", **options)
    engine = in_parts() if parts == 1 else many(corpus, parts)
    other = run(tmp_path, corpus, engine, name="b.jsonl", **options)
    if parts == 1:
        same(local, other)
    assert other.manifest["bad_records"] == local.manifest["bad_records"]
    assert other.manifest["kmeans_cost"] == pytest.approx(local.manifest["kmeans_cost"], rel=1e-5)
    assert rows(other)["row"].to_pylist() == ids(tmp_path / "b.jsonl")
    np.save(tmp_path / "e.npy", vectors[:-1])
    with pytest.raises(TitheError, match=r"e\.npy: holds 699 rows, but the corpus 700 records"):
        run(tmp_path, corpus, engine, name="c.jsonl", **options)


def test_what_must_be_unpacked_is_unpacked_where_all_see_it(tmp_path: Path) -> None:
    vectors = write_vectors(tmp_path / "c.parquet", 600)
    packed = tmp_path / "d.parquet.gz"
    packed.write_bytes(gzip.compress(vectors.read_bytes()))
    options = {"encoder": "column:emb", "size": 60}
    local = run(tmp_path, packed, Local(), name="a.parquet", **options)
    same(local, run(tmp_path, packed, in_parts(), name="b.parquet", **options))
    parts = run(tmp_path, packed, in_parts(5000), name="c.parquet", **options)
    assert parts.manifest["inputs"] == local.manifest["inputs"]
    assert pq.read_table(tmp_path / "c.parquet")["id"].to_pylist() == rows(parts)["row"].to_pylist()
    assert not list((tmp_path / "c.parquet.work").glob("run-*"))


def test_standard_input_is_cut_into_parts_too(corpus: Path, tmp_path: Path, tithe: Tithe) -> None:
    content = corpus.read_bytes()

    def chosen(engine: Any, name: str) -> Any:
        return runs(tmp_path, Path("-"), engine, name=name, stdin=io.BytesIO(content), size=50, never=("topic=1",))[0]

    local = chosen(Local(), "a.jsonl")
    same(local, chosen(in_parts(), "b.jsonl"))
    parts = chosen(in_parts(len(content) // 5), "c.jsonl")
    assert parts.manifest["inputs"] == local.manifest["inputs"]
    assert rows(parts)["row"].to_pylist() == ids(tmp_path / "c.jsonl")
    content = content[: len(content) // 2] + b"x\n"
    with pytest.raises(TitheError, match=r"^-, line \d+: "):
        chosen(in_parts(len(content) // 5), "d.jsonl")


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


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"group_min": 3, "group_max": 20, "loss": "column:loss", "validate": 60, "score_subset": True},
        {"group_share": ("0=0.4,1=0.1,other=0.5",), "always": ("topic=7",), "never": ("topic=2",)},
        {"keep_centers": True, "clusters": 12, "fraction": (0.3, 0.1)},
    ],
    ids=str,
)
def test_groups_give_what_they_give_in_one_process(corpus: Path, tmp_path: Path, wanted: dict[str, Any]) -> None:
    options = {"group_by": "topic", "loss": "column:loss", **({} if "fraction" in wanted else {"size": 110}), **wanted}
    local = runs(tmp_path, corpus, Local(), name="a.jsonl", **options)
    one = runs(tmp_path, corpus, in_parts(), name="b.jsonl", **options)
    parts = runs(tmp_path, corpus, many(corpus), name="c.jsonl", **options)
    for alone, other, scattered in zip(local, one, parts, strict=True):
        same(alone, other)
        groups = [[(g["value"], g["records"], g["selected"]) for g in s.manifest["groups"]["values"]] for s in (
            alone, scattered
        )]  # fmt: skip
        assert groups[0] == groups[1]
        drawn = [record["topic"] for record in read_jsonl(Path(str(scattered.path)))]
        assert {str(topic): drawn.count(topic) for topic in set(drawn)} == {value: n for value, _, n in groups[1] if n}
        if "validate" in options:
            error, expected = (s.manifest["evidence"]["error"]["design"] for s in (scattered, alone))
            assert error == pytest.approx(expected, rel=0.1)


def test_groups_are_numbered_as_they_come_and_must_be_groups(tmp_path: Path) -> None:
    records = make_records(300)
    for i, record in enumerate(records):
        record["source"] = None if i % 7 == 0 else f"s{(i * i) % 5 + i // 100}"
    corpus = write_jsonl(tmp_path / "c.jsonl", records)
    options = {"group_by": "source", "size": 50}
    local, parts = (
        run(tmp_path, corpus, engine, name=name, **options)
        for engine, name in ((Local(), "a.jsonl"), (many(corpus), "b.jsonl"))
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


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"loss": "column:loss", "validate": 80, "score_subset": True},
        {"always": ("topic=6",), "never": ("topic=2",), "keep_centers": True, "clusters": 9},
        {"group_by": "topic", "loss": "column:loss"},
        {"weights_as": "replicate", "loss": "column:loss"},
    ],
    ids=str,
)
def test_records_of_one_text_are_found_whatever_part_they_are_in(tmp_path: Path, options: dict[str, Any]) -> None:
    records = make_records(400)
    again = [{**record, "id": 400 + i} for i, record in enumerate(records[:250] + records[:100])]
    corpus = write_jsonl(tmp_path / "in.jsonl", [*records, *again])
    options = {"dedup": True, "size": 90, **options}
    local = run(tmp_path, corpus, Local(), name="a.jsonl", **options)
    same(local, run(tmp_path, corpus, in_parts(), name="b.jsonl", **options))
    parts = run(tmp_path, corpus, many(corpus), name="c.jsonl", **options)
    for name in ("duplicates", "n", "always", "never"):
        assert parts.manifest[name] == local.manifest[name]
    one, other = ({row["row"]: row for row in rows(s).to_pylist()} for s in (local, parts))
    both = one.keys() & other.keys()
    assert len(both) > 10
    for row in both:
        for name in ("score", "inclusion_probability", "weight"):
            assert other[row][name] == pytest.approx(one[row][name], rel=1e-4)
    texts = [record["text"] for record in read_jsonl(tmp_path / "c.jsonl")]
    if "weights_as" not in options:
        assert len(set(texts)) == len(texts)
    left = 750 - parts.manifest["never"]
    assert float(np.sum(rows(parts)["weight"].to_numpy())) == pytest.approx(left, rel=0.15)


def test_centres_to_score_are_those_of_one_process(corpus: Path, tmp_path: Path) -> None:
    for name, engine in (("a.jsonl", Local()), ("b.jsonl", many(corpus))):
        options = Options(
            inputs=(str(corpus),), output=None, loss="file:", validate=30, work_dir=tmp_path / f"{name}.work",
            engine="local" if name == "a.jsonl" else "ray",
        )  # fmt: skip
        write_centres(options, make_encoder("lexical"), tmp_path / name, engine=engine)
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


@pytest.mark.parametrize("method", ["low-rank", "auto", "k-center"])
def test_methods_that_look_at_vectors_do_so_part_by_part(corpus: Path, tmp_path: Path, method: str) -> None:
    options: dict[str, Any] = {"method": method, "size": 60, "never": ("topic=2",)}
    if method != "k-center":
        options |= {"loss": "column:loss", "validate": 60}
    local = run(tmp_path, corpus, Local(), name="a.jsonl", **options)
    parts = run(tmp_path, corpus, many(corpus), name="b.jsonl", **options)
    assert len(ids(tmp_path / "b.jsonl")) == 60
    assert all(record["topic"] != 2 for record in read_jsonl(tmp_path / "b.jsonl"))
    one, other = (set(ids(tmp_path / name)) for name in ("a.jsonl", "b.jsonl"))
    if method == "k-center":
        assert len(one & other) > 50  # by rounding another may be the farthest
        return
    # Which records the landmarks are, and so what is fitted to them, depends on the parts: not what they are drawn by.
    if method == "low-rank":
        for name in ("rank", "share_of_squared_norms"):
            assert parts.manifest["method"][name] == pytest.approx(local.manifest["method"][name], rel=1e-4)
    mean, expected = (s.manifest["evidence"]["estimate"]["mean_loss"] for s in (parts, local))
    assert mean == pytest.approx(expected, rel=0.05)
    assert parts.weights.total == pytest.approx(600 - parts.manifest["never"], rel=0.15)


def test_a_simple_sample_does_not_depend_on_the_parts(corpus: Path, tmp_path: Path) -> None:
    """The random order is one of all records."""
    options = {"sampler": "simple", "size": 83, "loss": "column:loss", "score_subset": True, "validate": 60}
    local = run(tmp_path, corpus, Local(), name="a.jsonl", **options)
    parts = run(tmp_path, corpus, many(corpus), name="b.jsonl", **options)
    assert ids(tmp_path / "a.jsonl") == ids(tmp_path / "b.jsonl")
    for name in ("estimate", "error"):
        assert _rounded(parts.manifest["evidence"][name]) == _rounded(local.manifest["evidence"][name])
    fractions = {**options, "fraction": (0.3, 0.1), "score_subset": False}
    del fractions["size"]
    for one, other in zip(
        runs(tmp_path, corpus, Local(), name="c.jsonl", **fractions),
        runs(tmp_path, corpus, many(corpus), name="d.jsonl", **fractions),
        strict=True,
    ):
        assert rows(one)["row"].equals(rows(other)["row"])


@pytest.mark.parametrize("source", [{}, {"token_column": "id"}, {"dedup": True}], ids=str)
def test_budgets_of_tokens_are_met_whatever_the_parts(corpus: Path, tmp_path: Path, source: dict[str, Any]) -> None:
    budget = 30_000 if "token_column" in source else 3000
    options = {"tokens": budget, "loss": "column:loss", "validate": 60, "never": ("topic=2",), **source}
    local = run(tmp_path, corpus, Local(), name="a.jsonl", **options)
    same(local, run(tmp_path, corpus, in_parts(), name="b.jsonl", **options))
    parts = run(tmp_path, corpus, many(corpus), name="c.jsonl", **options)
    assert parts.manifest["tokens"]["selected"] == pytest.approx(budget, rel=0.01)
    for name in ("mean", "records"):
        assert parts.manifest["tokens"][name] == local.manifest["tokens"][name]
    assert parts.manifest["k"] == local.manifest["k"]
    if "token_column" in source:
        assert rows(parts)["tokens"].to_pylist() == ids(tmp_path / "c.jsonl")


@pytest.mark.parametrize("more", [{}, {"dedup": True, "always": ("topic=6",)}], ids=str)
def test_records_too_long_for_the_budget_are_left_out_whatever_the_parts(tmp_path: Path, more: dict[str, Any]) -> None:
    records = [{**record, "tokens": 20 + record["id"] % 17} for record in make_records(600)]
    for at in (3, 200, 201, 599):
        records[at]["tokens"] = 2000
    records[599]["text"] = records[200]["text"]
    corpus = write_jsonl(tmp_path / "in.jsonl", records)
    options = {"tokens": 3600, "token_column": "tokens", "loss": "column:loss", **more}
    local = run(tmp_path, corpus, Local(), name="a.jsonl", **options)
    same(local, run(tmp_path, corpus, in_parts(), name="b.jsonl", **options))
    parts = run(tmp_path, corpus, many(corpus), name="c.jsonl", **options)
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
    engine = Local() if parts == 0 else in_parts() if parts == 1 else in_parts(2000)
    options = {"encoder": "column:emb", "on_bad_record": "skip", "tokens": 900, "token_column": "tokens"}
    drawn = rows(run(tmp_path, tmp_path / "d.parquet", engine, name="s.parquet", **options))
    assert drawn["tokens"].to_pylist() == [row % 17 for row in drawn["row"].to_pylist()]


@pytest.mark.parametrize("kind", ["simple", "tokens", "groups"])
def test_designs_on_parts_are_unbiased_and_err_as_in_one_process(tmp_path: Path, kind: str) -> None:
    """300 seeds: the mean estimate is right within 4 standard errors, the number drawn of each cluster is what the
    probabilities say within 4.5, and the root-mean-square error that of one process within 20% (the standard error of
    the ratio is 5.8%)."""
    rng = np.random.default_rng(7)
    n, k, count, size, draws = 2000, 25, 7, 120, 300
    labels, distances = rng.integers(0, k, n).astype(np.int32), rng.gamma(2.0, size=n).astype(np.float32)
    losses = rng.gamma(2.0, size=k)[labels] + 0.3 * distances + 0.3 * rng.random(n)
    scores = (0.5 + distances / distances.mean()).astype(np.float32)
    tokens, codes = rng.integers(5, 60, n).astype(np.uint32), rng.integers(0, 3, n).astype(np.uint16)
    ranks, edges = rng.permutation(k), np.linspace(0, n, count + 1).astype(int).tolist()
    arrays = {"labels": labels, "squared_distances": distances, "scores": scores, "tokens": tokens, "groups": codes}
    places = [
        Held(low, high - low, {name: values[low:high] for name, values in arrays.items()})
        for low, high in itertools.pairwise(edges)
    ]
    home, order = ScatteredHome(Serial(), places, OwnPath(tmp_path)), np.lexsort((distances, ranks[labels]))
    everyone = Candidates.everyone(n)
    drawn, errors = np.zeros(k), np.empty((2, draws))

    def design(scattered: bool, seed: int) -> PivotalDesign:
        def of(name: str) -> Any:
            return home.quantity(name) if scattered else arrays[name]

        along: Any = ScatteredOrder(home, ranks) if scattered else order
        if kind == "tokens":
            return make_token_design(of("scores"), of("tokens"), int(tokens.sum() // 15), along, everyone)
        if kind == "groups":
            return make_group_design(
                Groups("g", of("groups"), ("a", "b", "c")), Wanted(), of("scores"), size, along, everyone
            )
        keys = RandomKeys(n, (seed, 6))
        return SimpleDesign(
            inclusion_probabilities(of("scores"), size), along.shuffled(keys) if scattered else stable_order(keys), size
        )

    for seed in range(draws):
        for scattered in (True, False):
            sample = design(scattered, seed).draw(np.random.default_rng(seed))
            errors[int(scattered), seed] = sample.weights @ losses[sample.positions] / losses.sum() - 1
            if scattered:
                drawn += np.bincount(labels[sample.positions], minlength=k)
    of_one, of_parts = errors
    assert abs(of_parts.mean()) < 4 * of_parts.std() / np.sqrt(draws)
    mass = np.bincount(labels, design(False, 0).probabilities[0:n], minlength=k)
    assert (np.abs(drawn / draws - mass) < 4.5 * np.sqrt(mass / draws)).all()
    assert np.sqrt((of_parts**2).mean() / (of_one**2).mean()) == pytest.approx(1, abs=0.2)
    if kind == "simple":
        np.testing.assert_allclose(of_parts, of_one, rtol=1e-6)  # one random order, whatever the parts


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
