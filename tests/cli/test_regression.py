"""`--task regression`: a subset on which least squares gives nearly the fit to all rows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import Tithe, write_jsonl

OPTIONS = ("--task", "regression", "--features", "a,b", "--features", "c", "--target", "y")


def made(n: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    """Heavy-tailed features (n, 3) far from 0, and a target with heavy-tailed noise."""
    rng = np.random.default_rng(0)
    x = rng.standard_t(3, (n, 3)) * [1, 10, 0.1] + [0, 100, -5]
    return x, x @ [1, 0.2, 20] + 2 * rng.standard_t(3, n)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    x, y = made()
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "y": y, "id": np.arange(len(y))}), path)
    return path


def fit(x: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    root = np.ones(len(y)) if weights is None else np.sqrt(weights)
    design = np.column_stack([np.ones(len(y)), x])
    return np.linalg.lstsq(design * root[:, None], y * root, rcond=None)[0]


def risk(coefficients: np.ndarray) -> float:
    x, y = made()
    return float(np.mean((y - np.column_stack([np.ones(len(y)), x]) @ coefficients) ** 2))


def test_the_weighted_fit_is_nearer_to_the_full_one_than_those_of_leverage_and_uniform_sampling(
    tithe: Tithe, table: Path
) -> None:
    x, y = made()
    best, size, n = risk(fit(x, y)), 100, len(y)
    ours = []
    for seed in range(40):
        arguments = (table, "-o", "s.parquet", *OPTIONS, "--size", size, "--seed", seed, "--force", "--quiet")
        ran = tithe("select", *arguments)
        assert ran.code == 0, ran.err
        subset = pq.read_table("s.parquet").to_pydict()
        columns = np.column_stack([subset[name] for name in "abc"])
        ours.append(risk(fit(columns, np.array(subset["y"]), np.array(subset["weight"]))) - best)
    rng = np.random.default_rng(1)
    design = np.column_stack([np.ones(n), x])
    q, _ = np.linalg.qr(design)
    p = (q**2).sum(axis=1) / 4
    by_leverage, by_chance = [], []
    for _ in range(200):
        drawn = rng.choice(n, size, p=p)
        by_leverage.append(risk(fit(x[drawn], y[drawn], 1 / p[drawn])) - best)
        drawn = rng.choice(n, size, replace=False)
        by_chance.append(risk(fit(x[drawn], y[drawn])) - best)
    # Ratios of medians of 40 and 200 draws: their standard error is about 15%.
    assert np.median(ours) < 0.8 * np.median(by_leverage)
    assert np.median(ours) < 0.8 * np.median(by_chance)


def test_weighted_totals_are_unbiased(tithe: Tithe, table: Path) -> None:
    x, y = made()
    totals = []
    for seed in range(60):
        tithe("select", table, "-o", "s.parquet", *OPTIONS, "--size", "80", "--seed", seed, "--force", "--quiet")
        subset = pq.read_table("s.parquet").to_pydict()
        weights = np.array(subset["weight"])
        totals.append([weights.sum(), weights @ subset["a"], weights @ subset["y"]])
    found, error = np.mean(totals, axis=0), np.std(totals, axis=0, ddof=1) / np.sqrt(60)
    assert (np.abs(found - [len(y), x[:, 0].sum(), y.sum()]) < 4 * error).all()


def test_parquet_and_jsonl_give_the_same_rows(tithe: Tithe, table: Path, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "rows.jsonl", pq.read_table(table).to_pylist())
    for name in ("rows.parquet", "rows.jsonl"):
        ran = tithe("select", name, "-o", f"s-{name}", *OPTIONS, "--size", "60")
        assert ran.code == 0, ran.err
    first, second = (
        pq.read_table(f"s-{name}.rows.parquet")["row"].to_pylist() for name in ("rows.parquet", "rows.jsonl")
    )
    assert first == second
    manifest = json.loads(Path("s-rows.parquet.manifest.json").read_text())
    assert manifest["encoder"] == {"name": "features", "version": 1, "features": ["a", "b", "c"], "target": "y"}
    assert manifest["method"]["unknowns"] == 4
    assert manifest["k"] == 50


def test_few_rows_for_the_unknowns_are_pointed_out(tithe: Tithe, table: Path) -> None:
    assert (
        "from 12 rows on the subset can be relied on"
        in tithe("select", table, "-o", "s.parquet", *OPTIONS, "--size", "9").err
    )


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--task", "regression", "--target", "y"), 2, "needs --features A,B,... and --target Y"),
        (("--task", "regression", "--features", "a,,b", "--target", "y"), 2, "needs --features A,B,... and --target Y"),
        (("--features", "a"), 2, "--features and --target are for --task regression"),
        ((*OPTIONS, "--loss", "column:y"), 2, "--task regression: has no use for --loss"),
        ((*OPTIONS, "--encoder", "lexical"), 2, "--task regression: has no use for --encoder"),
        ((*OPTIONS, "--method", "auto"), 2, "--task regression: has no use for --method"),
        (("--task", "regression", "--features", "a,a", "--target", "y"), 1, "name 'a' twice"),
        (("--task", "regression", "--features", "a,zz", "--target", "y"), 2, "--features zz: there is no field 'zz'"),
    ],
)
def test_wrong_uses_are_refused(tithe: Tithe, table: Path, options: tuple[str, ...], code: int, message: str) -> None:
    ran = tithe("select", table, "-o", "s.parquet", "--size", "60", *options)
    assert (ran.code, message in ran.err) == (code, True), ran.err


def test_a_row_without_a_number_is_named_or_left_out(tithe: Tithe, tmp_path: Path) -> None:
    records = [{"a": float(i % 7), "b": i, "c": 1.5 * (i % 3), "y": float(i)} for i in range(200)]
    records[17]["b"] = None  # type: ignore[assignment]
    write_jsonl(tmp_path / "rows.jsonl", records)
    ran = tithe("select", "rows.jsonl", "-o", "s.jsonl", *OPTIONS, "--size", "40")
    assert (ran.code, "rows.jsonl, line 18: 'b' is None, not a number" in ran.err) == (1, True), ran.err
    ran = tithe("select", "rows.jsonl", "-o", "s.jsonl", *OPTIONS, "--size", "40", "--on-bad-record", "skip")
    assert ran.code == 0, ran.err
    assert json.loads(Path("s.jsonl.manifest.json").read_text())["n"] == 199
