"""Whole selections among 20,000 and 100,000 clusters, and what `--dry-run` forecasts of them.

Ten million made vectors of 256 dimensions in Parquet, two records drawn a cluster.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.common import Table, forecast_cost, seconds_by_stage, selection
from tests.benchmarks.precomputed import has_room, write_corpus

N, CLUSTERS = 10_000_000, (20_000, 100_000)


def run() -> list[Table]:
    """One table, a row for each number of clusters; none where the disk has no room."""
    Path("build").mkdir(exist_ok=True)
    with TemporaryDirectory(dir="build") as name:
        corpus = Path(name, "c.parquet")
        if not has_room(corpus.parent, N):
            return []
        write_corpus(corpus, N)
        return [[_row(corpus, k) for k in CLUSTERS]]


def _row(corpus: Path, k: int) -> dict[str, object]:
    options = ("--encoder", "column:emb", "--clusters", str(k), "--size", str(2 * k))
    forecast = forecast_cost(corpus, *options)
    manifest, spent = selection(corpus, corpus.parent, *options)
    stages, assignment = seconds_by_stage(manifest), manifest["assignment"]
    row: dict[str, object] = {
        "vectors": N,
        "k": k,
        "train, s": stages["train"],
        "assign, s": stages["assign"],
        "recall": f"{assignment['recall']:.3f}",
        "cost of the assignment": f"{assignment['cost_ratio']:.4f}",
        "whole process, s": spent.seconds,
        "forecast, s": forecast.seconds,
        "peak, MiB": spent.peak_mib,
        "forecast, MiB": forecast.peak_mib,
    }
    print(row, flush=True)
    return row
