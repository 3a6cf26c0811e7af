"""Numbers at the ends of what floats hold: a line that names the record, or a selection, and no warning on the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import Tithe, make_records, write_jsonl

RECORDS = 60
RNG = np.random.default_rng(0)
BUDGET = ("--size", "20", "--clusters", "8")
PATHS = {
    "sensitivity": (*BUDGET,),
    "algorithm 1": (*BUDGET, "--sampler", "iid"),
    "low-rank": (*BUDGET, "--method", "low-rank", "--rank", "2"),
    "auto": (*BUDGET, "--method", "auto"),
    "groups": (*BUDGET, "--group-by", "topic", "--z", "1"),
    "tokens": ("--tokens", "200", "--clusters", "8", "--weights-as", "replicate"),
}
EVIDENCE = ((), ("--score-subset", "--validate", "9"))
LOSSES: dict[str, list[float]] = {
    "small and large": [1e30, 1e-30] * 30,
    "all small": (1e-30 * (1 + RNG.random(RECORDS))).tolist(),
    "denormal and one": [5e-324, 1.0] * 30,
    "nothing and next to nothing": [0.0, 1e-308] * 30,
}


@pytest.mark.parametrize("losses", LOSSES)
def test_losses_at_the_ends(tithe: Tithe, tmp_path: Path, losses: str) -> None:
    records = [{**record, "loss": loss} for record, loss in zip(make_records(RECORDS), LOSSES[losses], strict=True)]
    write_jsonl(tmp_path / "c.jsonl", records)
    for path in PATHS.values():
        for evidence in EVIDENCE:
            ran = tithe("select", "c.jsonl", "-o", "s.jsonl", "--force", "--loss", "column:loss", *path, *evidence)
            assert (ran.code, "Warning" in ran.err) == (0, False), (path, ran.err)


@pytest.mark.parametrize("loss", ["1e308", "1.1e30"])
def test_losses_whose_squares_overflow_are_refused_by_every_source(tithe: Tithe, tmp_path: Path, loss: str) -> None:
    write_jsonl(tmp_path / "c.jsonl", [{**record, "loss": float(loss)} for record in make_records(RECORDS)])
    write_jsonl(tmp_path / "l.jsonl", [{"row": row, "loss": float(loss)} for row in range(RECORDS)])
    module = f"large_{tmp_path.name}".replace("-", "_")  # another for each test
    (tmp_path / f"{module}.py").write_text(f"def losses(records): return [{loss}] * len(records)\n")
    for source in ("column:loss", "file:l.jsonl", f"exec:yes '{{\"loss\": {loss}}}'", f"{module}:losses"):
        ran = tithe("select", "c.jsonl", "-o", "s.jsonl", *BUDGET, "--loss", source)
        assert ran.code == 1
        assert f"is {float(loss):g}, and squares of more than 1e+30 overflow" in ran.err.splitlines()[-1]


def with_vectors(path: Path, vectors: np.ndarray, kind: str) -> tuple[str, str]:
    """A corpus of these vectors; its name and the encoder's."""
    losses = np.random.default_rng(1).random(len(vectors))
    if kind == "npy":
        np.save(path / "v.npy", vectors)
        write_jsonl(path / "c.jsonl", [{"loss": loss} for loss in losses])
        return "c.jsonl", "npy:v.npy"
    if kind == "jsonl":
        write_jsonl(
            path / "v.jsonl", [{"e": v.tolist(), "loss": loss} for v, loss in zip(vectors, losses, strict=True)]
        )
        return "v.jsonl", "column:e"
    pq.write_table(pa.table({"e": pa.array(list(vectors), pa.list_(pa.float64())), "loss": losses}), path / "v.parquet")
    return "v.parquet", "column:e"


VECTORS = RNG.standard_normal((RECORDS, 4)).astype(np.float32).astype(np.float64)


def rows(tithe: Tithe, folder: Path, name: str, *options: str) -> list[int]:
    ran = tithe("select", name, "-o", "s.jsonl", "--force", *BUDGET, *options)
    assert (ran.code, "Warning" in ran.err) == (0, False), ran.err
    return pq.read_table(folder / "s.jsonl.rows.parquet")["row"].to_pylist()


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "npy"])
def test_only_the_direction_of_vectors_counts_however_long_they_are(tithe: Tithe, tmp_path: Path, kind: str) -> None:
    found = [
        rows(tithe, tmp_path, name, "--encoder", encoder, "--loss", "column:loss", "--method", "auto")
        for scale in (1.0, 2.0**120, 2.0**-115)
        for name, encoder in [with_vectors(tmp_path, VECTORS * scale, kind)]
    ]
    assert len({tuple(each) for each in found}) == 1


@pytest.mark.parametrize(
    "options",
    [(), ("--loss", "column:loss"), ("--loss", "column:loss", "--method", "low-rank", "--rank", "2"),
     ("--loss", "column:loss", "--method", "auto", "--z", "1"), ("--method", "k-center"), ("--dedup-near", "0.9")],
)  # fmt: skip
def test_vectors_at_the_ends(tithe: Tithe, tmp_path: Path, options: tuple[str, ...]) -> None:
    mixed = np.where(np.arange(RECORDS) % 2, 1e11, 1e-30)[:, None]
    for scale in (1e11, 1e-30, 1e-40, 0.0, mixed):
        name, encoder = with_vectors(tmp_path, VECTORS * scale, "parquet")
        rows(tithe, tmp_path, name, "--encoder", encoder, "--no-normalize", *options)


@pytest.mark.parametrize("scale", [1e13, 1e300])
@pytest.mark.parametrize("kind", ["parquet", "jsonl", "npy"])
def test_vectors_whose_distances_overflow_are_refused(tithe: Tithe, tmp_path: Path, kind: str, scale: float) -> None:
    name, encoder = with_vectors(tmp_path, VECTORS * scale, kind)
    ran = tithe("select", name, "-o", "s.jsonl", *BUDGET, "--encoder", encoder, "--no-normalize")
    assert ran.code == 1
    assert "the embedding is not finite, or too large" in ran.err
    assert "Warning" not in ran.err


REGRESSION = ("--task", "regression", "--features", "a,b", "--target", "y", "--size", "20")


def houses(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    numbers = change(np.random.default_rng(0).standard_normal((RECORDS, 3)))
    pq.write_table(pa.table(dict(zip("aby", numbers.T, strict=True))), path / "t.parquet")


def test_fields_of_a_regression_at_the_ends(tithe: Tithe, tmp_path: Path) -> None:
    found = []
    for scale in (1.0, 2.0**300, 2.0**-300):
        houses(tmp_path, lambda numbers, scale=scale: numbers * scale)
        found.append(rows(tithe, tmp_path, "t.parquet", *REGRESSION))
    assert found[0] == found[1] == found[2]
    houses(tmp_path, lambda numbers: np.vstack([numbers[:-1], np.full((1, 3), 1e308)]))
    ran = tithe("select", "t.parquet", "-o", "t.jsonl", *REGRESSION)
    assert ran.code == 1
    assert "t.parquet, row 59: 'a' is 1e+308, whose square overflows" in ran.err.splitlines()[-1]
