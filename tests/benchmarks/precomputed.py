"""Precomputed embeddings in Parquet, 256 dimensions, k = 1,000: whole processes beside a plain faiss script.

The script reads the file, trains faiss.Kmeans and searches IndexFlatL2, from the wheel as shipped, and does nothing
else: no scores, no sample, no hashes, no subset. One million vectors are compared in pairs (medians of three); ten
million are run once with tithe alone (the script would need all of them in memory), where there is room on disk.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.benchmarks.common import TITHE, Table, cost

D, K = 256, 1000

SCRIPT = """
import sys
import faiss, numpy as np, pyarrow.parquet as pq
x = pq.read_table(sys.argv[1], columns=["emb"])["emb"].combine_chunks().flatten().to_numpy().reshape(-1, 256)
kmeans = faiss.Kmeans(256, 1000, seed=1)
kmeans.train(x)
index = faiss.IndexFlatL2(256)
index.add(kmeans.centroids)
d, i = index.search(x, 1)
open(sys.argv[2], "w").write(str(float(d.sum(dtype=np.float64))))
"""


def made_vectors(n: int, seed: int = 0, block: int = 100_000) -> Iterator[np.ndarray]:
    """Unit vectors around 3,000 means of very different weight, in blocks; shape (n, 256) together."""
    rng = np.random.default_rng(seed)
    means = rng.standard_normal((3000, D), dtype=np.float32)
    weights = rng.dirichlet(np.full(3000, 0.5))
    for start in range(0, n, block):
        size = min(block, n - start)
        noise = rng.standard_normal((size, D), dtype=np.float32)
        vectors = means[rng.choice(3000, size, p=weights)] + 0.8 * noise
        yield vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def write_corpus(path: Path, n: int) -> None:
    """A corpus of ids and vectors."""
    schema = pa.schema([("id", pa.int64()), ("emb", pa.list_(pa.float32(), D))])
    start = 0
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        for vectors in made_vectors(n):
            emb = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), D)
            ids = pa.array(np.arange(start, start + len(vectors)))
            writer.write_table(pa.table([ids, emb], schema=schema), row_group_size=50_000)
            start += len(vectors)


def has_room(folder: Path, n: int) -> bool:
    """Whether the folder's disk has room for such a corpus, and what is selected from it."""
    return shutil.disk_usage(folder).free > 1400 * n


def run() -> list[Table]:
    """One table: a row for each size and program."""
    with tempfile.TemporaryDirectory(dir="build") as name:
        folder = Path(name)
        corpus = folder / "c.parquet"
        write_corpus(corpus, 1_000_000)
        ours, theirs = [], []
        for _ in range(3):
            ours.append(cost(_tithe(corpus, folder)))
            theirs.append(cost([sys.executable, "-c", SCRIPT, str(corpus), str(folder / "cost")]))
        manifest = json.loads((folder / "s.parquet.manifest.json").read_text())
        relative = manifest["kmeans_cost"] / float((folder / "cost").read_text())
        seconds = statistics.median(c.seconds for c in ours)
        rows: Table = [
            {
                "vectors": 1_000_000,
                "program": "tithe",
                "seconds": seconds,
                "peak MiB": max(c.peak_mib for c in ours),
                "k-means cost relative to faiss": relative,
                "ratio": 1.0,
            },
            {
                "vectors": 1_000_000,
                "program": "plain script",
                "seconds": statistics.median(c.seconds for c in theirs),
                "peak MiB": max(c.peak_mib for c in theirs),
                "k-means cost relative to faiss": 1.0,
                "ratio": statistics.median(b.seconds / a.seconds for a, b in zip(ours, theirs, strict=True)),
            },
        ]
        if has_room(folder, 10_000_000):
            write_corpus(corpus, 10_000_000)
            ten = cost(_tithe(corpus, folder))
            rows.append(
                {
                    "vectors": 10_000_000,
                    "program": "tithe",
                    "seconds": ten.seconds,
                    "peak MiB": ten.peak_mib,
                    "k-means cost relative to faiss": "",
                    "ratio": ten.seconds / (10 * seconds),
                }
            )
    return [rows]


def _tithe(corpus: Path, folder: Path) -> list[str]:
    arguments = ["--encoder", "column:emb", "--clusters", str(K), "--force", "--quiet"]
    return [*TITHE, "select", str(corpus), "-o", str(folder / "s.parquet"), *arguments]
