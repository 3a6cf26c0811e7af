"""Cost: seconds and memory of each stage against records, dimensions and clusters, and the losses asked for.

Whole runs of `tithe select` over made embeddings in Parquet; the times of the stages are those of the manifest, the
memory is that of the process at its peak. The losses asked for are k, whatever the number of records.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.benchmarks.common import TITHE, Table, cost

# Records, dimensions, clusters: each varied on its own.
SHAPES = (
    (100_000, 128, 300),
    (300_000, 128, 300),
    (1_000_000, 128, 300),
    (300_000, 64, 300),
    (300_000, 256, 300),
    (300_000, 128, 100),
    (300_000, 128, 1000),
    (300_000, 128, 3000),
)


def run() -> list[Table]:
    """One table: a row for each shape."""
    Path("build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir="build") as folder:
        return [[_row(Path(folder), *shape) for shape in SHAPES]]


def _row(folder: Path, n: int, d: int, k: int) -> dict[str, object]:
    corpus, subset = folder / f"{n}-{d}.parquet", folder / "s.parquet"
    if not corpus.exists():
        _write(corpus, n, d)
    options = ["--encoder", "column:emb", "--loss", "column:loss", "--clusters", str(k), "--force", "--quiet"]
    spent = cost([*TITHE, "select", str(corpus), "-o", str(subset), *options])
    manifest = json.loads((folder / "s.parquet.manifest.json").read_text())
    seconds = {stage["stage"]: stage["seconds"] for stage in manifest["run"]["stages"]}
    return {
        "records": n,
        "dimensions": d,
        "clusters": k,
        "training points, s": seconds["draw training points"],
        "train, s": seconds["train"],
        "assign, s": seconds["assign"] + seconds["distances"],
        "score and draw, s": seconds["losses"] + seconds["sample"],
        "write and hash, s": seconds["write"] + seconds["hash"],
        "whole process, s": spent.seconds,
        "peak MiB": round(spent.peak_mib),
        "losses asked for": manifest["loss_queries"],
    }


def _write(path: Path, n: int, d: int) -> None:
    rng = np.random.default_rng(0)
    means = rng.standard_normal((500, d), dtype=np.float32)
    schema = pa.schema([("emb", pa.list_(pa.float32(), d)), ("loss", pa.float64())])
    with pq.ParquetWriter(path, schema, use_dictionary=False, compression="none") as writer:
        for start in range(0, n, 50_000):
            size = min(50_000, n - start)
            labels = rng.choice(500, size)
            vectors = means[labels] + 0.8 * rng.standard_normal((size, d), dtype=np.float32)
            arrays = [pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), d), pa.array(1 + labels / 500)]
            writer.write_table(pa.table(arrays, schema=schema))
