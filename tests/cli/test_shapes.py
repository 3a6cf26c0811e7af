"""`--weights-as`, `--weight-scale` and `--for` as a user sees them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import LogisticRegression

from tests.conftest import Tithe, make_records, read_jsonl, write_jsonl
from tithe.selection.engine.hashes import sha256
from tithe.selection.options.options import Options
from tithe.selection.options.trainers import TRAINERS

UNWEIGHTED = ("replicate", "resample", "none")
UNEQUAL = ("--size", "60", "--loss", "column:loss")
"""A subset of weights between 3 and 20, about."""


def chats(count: int = 600) -> list[dict[str, Any]]:
    return [
        {
            "messages": [{"role": "user", "content": record["text"]}, {"role": "assistant", "content": "yes"}],
            "id": record["id"],
            "loss": record["loss"],
        }
        for record in make_records(count)
    ]


@pytest.fixture
def dialogues(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "chats.jsonl", chats())


def read(path: Path) -> list[dict[str, Any]]:
    return pq.read_table(path).to_pylist() if path.suffix == ".parquet" else read_jsonl(path)


def facts(path: Path) -> dict[str, Any]:
    return json.loads(Path(f"{path}.manifest.json").read_text(encoding="utf-8"))


def rows(path: Path) -> pa.Table:
    return pq.read_table(f"{path}.rows.parquet")


@pytest.mark.parametrize("way", ["replicate", "resample"])
@pytest.mark.parametrize("name", ["s.jsonl", "s.parquet"])
def test_records_come_as_often_as_the_rows_file_says(
    tithe: Tithe, corpus: Path, tmp_path: Path, way: str, name: str
) -> None:
    ran = tithe("select", corpus, "-o", name, *UNEQUAL, "--weights-as", way)
    assert ran.code == 0, ran.err
    tithe("select", corpus, "-o", "weighted.jsonl", *UNEQUAL)
    out, table = read(tmp_path / name), rows(tmp_path / name)
    source = make_records(600)
    assert len(out) == 60
    assert all(record == source[record["id"]] for record in out)
    copies = dict(zip(table["row"].to_pylist(), table["copies"].to_pylist(), strict=True))
    assert Counter(record["id"] for record in out) == Counter(copies)
    # The rows file holds all that were drawn, and their true weights.
    assert table.drop_columns(["copies"]).equals(rows(tmp_path / "weighted.jsonl"))
    if way == "replicate":
        weights = table["weight"].to_numpy()
        assert (np.abs(table["copies"].to_numpy() - 60 * weights / weights.sum()) < 1).all()
    manifest = facts(tmp_path / name)
    found = np.array(list(Counter(record["id"] for record in out).values()))
    assert manifest["subset"] == {
        "weights_as": way,
        "weight_scale": None,
        "weight_column": None,
        "lines": 60,
        "records": len(found),
        "most_copies": found.max(),
        "effective_sample_size": pytest.approx(60**2 / (found**2).sum()),
    }
    assert manifest["outputs"][0]["lines"] == 60
    assert [entry["sha256"] for entry in manifest["outputs"]] == [
        sha256(tmp_path / entry["path"]) for entry in manifest["outputs"]
    ]
    assert f"weights   none: 60 lines of {len(found)} records, each up to {found.max()} times" in ran.err


@pytest.mark.parametrize("way", ["replicate", "resample"])
def test_the_same_seed_gives_the_same_lines_whatever_the_form_of_the_output(
    tithe: Tithe, corpus: Path, tmp_path: Path, way: str
) -> None:
    names = ("a.jsonl", "b.jsonl", "c.parquet", "d.jsonl.gz")
    for name in names:
        assert tithe("select", corpus, "-o", name, *UNEQUAL, "--weights-as", way).code == 0
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    assert read(tmp_path / "c.parquet") == read(tmp_path / "a.jsonl")
    assert facts(tmp_path / "d.jsonl.gz")["outputs"][0]["lines"] == 60
    printed = tithe("select", corpus, "-o", "-", *UNEQUAL, "--weights-as", way)
    assert printed.out == (tmp_path / "a.jsonl").read_text()
    ids = [record["id"] for record in read(tmp_path / "a.jsonl")]
    assert ids != sorted(ids)


def test_replicating_equal_weights_only_shuffles(tithe: Tithe, corpus: Path, tmp_path: Path) -> None:
    common = ("--size", "60", "--method", "uniform")
    tithe("select", corpus, "-o", "weighted.jsonl", *common)
    assert tithe("select", corpus, "-o", "s.jsonl", *common, "--weights-as", "replicate").code == 0
    there, here = ([r["id"] for r in read_jsonl(tmp_path / name)] for name in ("weighted.jsonl", "s.jsonl"))
    assert sorted(here) == there != here


def test_independent_draws_give_as_many_lines_as_draws(tithe: Tithe, corpus: Path, tmp_path: Path) -> None:
    ran = tithe("select", corpus, "-o", "s.jsonl", *UNEQUAL, "--sampler", "iid", "--weights-as", "replicate")
    assert ran.code == 0, ran.err
    assert len(read_jsonl(tmp_path / "s.jsonl")) == 60 > len(rows(tmp_path / "s.jsonl"))


def test_a_tempered_subset_is_repeated_in_proportion_to_the_tempered_weights(
    tithe: Tithe, corpus: Path, tmp_path: Path
) -> None:
    ran = tithe("select", corpus, "-o", "s.jsonl", *UNEQUAL, "--weights-as", "replicate", "--temper", "0")
    assert ran.code == 0, ran.err
    assert rows(tmp_path / "s.jsonl")["copies"].to_pylist() == [1] * 60
    assert np.ptp(rows(tmp_path / "s.jsonl")["weight"].to_numpy()) > 1


def test_weights_of_mean_one(tithe: Tithe, corpus: Path, tmp_path: Path) -> None:
    tithe("select", corpus, "-o", "sum.jsonl", *UNEQUAL, "--temper", "0.5")
    ran = tithe("select", corpus, "-o", "mean.jsonl", *UNEQUAL, "--temper", "0.5", "--weight-scale", "mean")
    assert ran.code == 0, ran.err
    total, mean = (np.array([r["weight"] for r in read_jsonl(tmp_path / f"{name}.jsonl")]) for name in ("sum", "mean"))
    assert total.sum() == pytest.approx(rows(tmp_path / "sum.jsonl")["weight"].to_numpy().sum())
    np.testing.assert_allclose(mean, total / total.mean())
    assert rows(tmp_path / "mean.jsonl").equals(rows(tmp_path / "sum.jsonl"))
    manifest = facts(tmp_path / "mean.jsonl")
    assert manifest["subset"]["weight_scale"] == manifest["options"]["weight_scale"] == "mean"
    assert manifest["weights"]["total"] == pytest.approx(60)
    size = mean.sum() ** 2 / (mean**2).sum()
    assert manifest["subset"]["effective_sample_size"] == pytest.approx(size)
    assert f"as good as {size:,.0f} of equal weight" in ran.err
    assert "mean 1" in ran.err


@pytest.mark.parametrize("name", ["s.jsonl", "s.parquet"])
def test_loss_scale(tithe: Tithe, dialogues: Path, tmp_path: Path, name: str) -> None:
    ran = tithe("select", dialogues, "-o", name, *UNEQUAL, "--weights-as", "loss-scale")
    assert ran.code == 0, ran.err
    out, weights = read(tmp_path / name), rows(tmp_path / name)["weight"].to_numpy()
    scales = [record["messages"][1]["loss_scale"] for record in out]
    np.testing.assert_allclose(scales, weights / weights.mean())
    assert all(record["messages"][0].get("loss_scale") is None for record in out)
    assert "in the messages of the assistant" in ran.err
    for record in out:
        for message in record["messages"]:
            message.pop("loss_scale", None)
    source = chats()
    assert out == [source[record["id"]] for record in out]


def test_records_only(tithe: Tithe, corpus: Path, tmp_path: Path) -> None:
    ran = tithe("select", corpus, "-o", "s.jsonl", *UNEQUAL, "--weights-as", "none")
    assert ran.code == 0, ran.err
    source = make_records(600)
    out = read_jsonl(tmp_path / "s.jsonl")
    assert out == [source[record["id"]] for record in out]
    assert len(out) == 60
    assert "weights   left out of the subset" in ran.err
    assert "copies" not in rows(tmp_path / "s.jsonl").column_names


@pytest.mark.parametrize("name", TRAINERS)
def test_each_trainer_gets_the_shape_it_respects(tithe: Tithe, dialogues: Path, tmp_path: Path, name: str) -> None:
    ran = tithe("select", dialogues, "-o", "s.jsonl", *UNEQUAL, "--for", name)
    assert ran.code == 0, ran.err
    out = read_jsonl(tmp_path / "s.jsonl")
    assert len(out) == 60
    trainer, manifest = TRAINERS[name], facts(tmp_path / "s.jsonl")
    assert trainer.notice(trainer.weights_as) in ran.err.splitlines()
    assert manifest["options"]["for"] == name
    assert manifest["options"]["weights_as"] == manifest["subset"]["weights_as"] == trainer.weights_as
    in_column = {"transformers": 1, "fireworks": 1, "sklearn": 10}  # mean weight
    if name in in_column:
        assert np.mean([record["weight"] for record in out]) == pytest.approx(in_column[name], rel=0.2)
    elif name == "ms-swift":
        assert np.mean([record["messages"][1]["loss_scale"] for record in out]) == pytest.approx(1)
    else:
        assert all(set(record) == {"messages", "id", "loss"} for record in out)
        assert max(Counter(record["id"] for record in out).values()) > 1
    # What was recorded can be said again.
    again = ("--for", name, "--weights-as", manifest["options"]["weights_as"])
    assert tithe("select", dialogues, "-o", "t.jsonl", *UNEQUAL, *again).code == 0
    assert (tmp_path / "t.jsonl").read_bytes() == (tmp_path / "s.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--for trl --weights-as column", "--for trl: contradicts --weights-as column"),
        ("--for openai --weights-as loss-scale", "--for openai: contradicts --weights-as loss-scale"),
        ("--for fireworks --weight-scale sum", "--for fireworks: contradicts --weight-scale sum"),
        ("--for fireworks --weight-column w", "--for fireworks: knows no --weight-column but 'weight'"),
        ("--for fireworks -o s.parquet", "--for fireworks: reads .jsonl only"),
        ("--for openai -o s.jsonl.gz", "--for openai: reads .jsonl only"),
        ("--for axolotl --weight-scale mean", "--weights-as replicate: writes no weights; leave --weight-scale out"),
        ("--weights-as none --weight-scale sum", "--weights-as none: writes no weights"),
        ("--weights-as loss-scale --weight-scale sum", "--weights-as loss-scale: always has mean 1"),
        ("--weights-as replicate --weight-column w", "--weights-as replicate: has no use for --weight-column"),
        ("--weights-as loss-scale", "--weights-as loss-scale: corpus.jsonl: has no list 'messages'"),
        ("--for ms-swift --dry-run", "--weights-as loss-scale: corpus.jsonl: has no list 'messages'"),
        ("--for swift", "Invalid value for '--for'"),
    ],
)
def test_what_contradicts_itself_is_a_usage_error_of_one_line(
    tithe: Tithe, corpus: Path, tmp_path: Path, options: str, message: str
) -> None:
    ran = tithe("select", corpus.name, "-o", "s.jsonl", *options.split())
    assert (ran.code, message in ran.err) == (2, True), ran.err
    assert sum(line.startswith("tithe:") for line in ran.err.splitlines()) <= 1
    assert [path.name for path in tmp_path.iterdir()] == ["corpus.jsonl"]


@pytest.mark.parametrize("name", TRAINERS)
def test_what_the_manifest_records_of_a_trainer_can_be_said_again(name: Any) -> None:
    trainer = TRAINERS[name]
    for shape in trainer.shapes:
        recorded = Options(inputs=("a",), output=Path("s.jsonl"), trainer=name, weights_as=shape).recorded()
        said = {key: recorded[key] for key in ("weights_as", "weight_scale", "weight_column")}
        again = Options(inputs=("a",), output=Path("s.jsonl"), trainer=name, **said)
        assert again.recorded() == recorded
        assert ("as you asked" in trainer.notice(shape)) == (shape != trainer.weights_as not in UNWEIGHTED)


def test_a_trainer_in_a_configuration_file(tithe: Tithe, corpus: Path, tmp_path: Path) -> None:
    Path("t.toml").write_text('for = "trl"\nweights-as = "resample"\n')
    assert tithe("select", corpus, "-o", "s.jsonl", "--config", "t.toml", "--size", "60").code == 0
    assert facts(tmp_path / "s.jsonl")["subset"]["weights_as"] == "resample"


def test_scikit_learn_takes_the_weights_from_the_file(tithe: Tithe, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3000, 4)) * [1, 1, 3, 0.3]
    y = (x @ [1, -1, 0.3, 2] + rng.logistic(size=3000) > 1).astype(int)
    features = {f"x{i}": x[:, i] for i in range(4)}
    pq.write_table(pa.table({**features, "v": list(x), "y": y}), tmp_path / "c.parquet")
    ran = tithe("select", "c.parquet", "-o", "s.parquet", "--encoder", "column:v", "--size", "600", "--for", "sklearn")
    assert ran.code == 0, ran.err
    subset = pq.read_table(tmp_path / "s.parquet")
    inputs = np.column_stack([subset[name] for name in features])
    model = LogisticRegression(C=1.0).fit(inputs, subset["y"].to_numpy(), sample_weight=subset["weight"].to_numpy())
    whole = LogisticRegression(C=1.0).fit(x, y)
    assert subset["weight"].to_numpy().sum() == pytest.approx(3000, rel=0.05)
    np.testing.assert_allclose(model.coef_, whole.coef_, atol=0.45)


@pytest.mark.parametrize("shape", ["column", "loss-scale", "replicate", "resample", "none"])
@pytest.mark.parametrize("source", ["chats.jsonl", "chats.parquet"])
def test_the_library_datasets_reads_every_shape(
    tithe: Tithe, dialogues: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: str, source: str
) -> None:
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    datasets = pytest.importorskip("datasets", reason="the library datasets is not installed")
    if source.endswith(".parquet"):
        datasets.Dataset.from_list(chats()).to_parquet(tmp_path / source)
    for name, builder in (("s.jsonl", "json"), ("s.parquet", "parquet"), ("s.jsonl.gz", "json")):
        ran = tithe("select", source, "-o", name, *UNEQUAL, "--weights-as", shape)
        assert ran.code == 0, ran.err
        loaded = datasets.load_dataset(
            builder, data_files=str(tmp_path / name), split="train", cache_dir=str(tmp_path / "datasets")
        )
        assert len(loaded) == facts(tmp_path / name)["subset"]["lines"] == 60
        table = rows(tmp_path / name)
        if shape == "column":
            assert loaded["weight"][:] == table["weight"].to_pylist()
        elif shape == "loss-scale":
            mean = table["weight"].to_numpy().mean()
            scales = [messages[1]["loss_scale"] for messages in loaded["messages"]]
            np.testing.assert_allclose(scales, table["weight"].to_numpy() / mean)
        else:
            assert set(loaded.column_names) == {"messages", "id", "loss"}
