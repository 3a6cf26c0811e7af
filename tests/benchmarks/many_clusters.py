"""A whole selection among 100,000 clusters, and what `--dry-run` forecasts of it.

Ten million made vectors of 256 dimensions in Parquet, two records drawn a cluster.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.common import Table, forecast_cost, seconds_by_stage, selection
from tests.benchmarks.precomputed import write_corpus

N, K = 10_000_000, 100_000

# Bytes on the disk for each vector.
ROOM = 1400


def run() -> list[Table]:
    """One table of one row; none where the disk has no room."""
    Path("build").mkdir(exist_ok=True)
    with TemporaryDirectory(dir="build") as name:
        if shutil.disk_usage(name).free < ROOM * N:
            return []
        corpus = Path(name, "c.parquet")
        write_corpus(corpus, N)
        options = ("--encoder", "column:emb", "--clusters", str(K), "--size", str(2 * K))
        forecast = forecast_cost(corpus, *options)
        manifest, spent = selection(corpus, Path(name), *options)
    stages, assignment = seconds_by_stage(manifest), manifest["assignment"]
    row: dict[str, object] = {
        "vectors": N,
        "k": K,
        "train, s": stages["train"],
        "assign, s": stages["assign"],
        "recall": f"{assignment['recall']:.3f}",
        "cost of the assignment": f"{assignment['cost_ratio']:.4f}",
        "whole process, s": spent.seconds,
        "forecast, s": forecast.seconds,
        "peak, MiB": spent.peak_mib,
        "forecast, MiB": forecast.peak_mib,
    }
    return [[row]]
