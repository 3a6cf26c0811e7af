"""Where the time goes, next to the limit: each stage of a run beside a plain loop of the same library calls.

The last rows are the whole process, and what `--dry-run` forecasts of it, with the ratio of the forecast to what came.
Ten million made vectors of 256 dimensions in Parquet (`--quick`: one million), k = 1,000: the loops decode the column,
search IndexFlatL2 on all cores, and write the rows of the subset. T0 with the default encoder, where TITHE_DATA is set:
the loops decode the columns, and encode texts that are all in memory. The loops do nothing else: no check, no label is
kept, no sum is taken. A loop that needs the encoder or the centroids takes those of tithe.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.benchmarks.common import Cost, Table, data, forecast_cost, seconds_by_stage, selection
from tests.benchmarks.corpora import t0_texts
from tests.benchmarks.precomputed import D, K, has_room, write_corpus
from tithe.embedders.lexical import FIT_CHARACTERS, FIT_RECORDS, LexicalEncoder
from tithe.selection.engine.blas import load_faiss

# Rows of a batch of the loops: as many as tithe's batches of such vectors have.
ROWS = 8192


def run() -> list[Table]:
    """Two tables: a row for each stage of a run over vectors, and over T0."""
    return _run(10_000_000)


def run_quick() -> list[Table]:
    """The same with fewer vectors."""
    return _run(1_000_000)


def _run(n: int) -> list[Table]:
    Path("build").mkdir(exist_ok=True)
    tables = []
    with tempfile.TemporaryDirectory(dir="build") as name:
        if has_room(Path(name), n):
            tables.append(_vectors(n, Path(name)))
        if (t0 := data("t0.parquet")) is not None:
            tables.append(_t0(t0, Path(name)))
    return tables


def _vectors(n: int, folder: Path) -> Table:
    corpus = folder / "c.parquet"
    write_corpus(corpus, n)
    _say("corpus written")
    manifest, spent = selection(corpus, folder, "--encoder", "column:emb", "--clusters", str(K))
    stages = seconds_by_stage(manifest)
    _say(f"tithe: {spent}, {stages}")
    rows = pq.read_table(folder / "s.parquet.rows.parquet")["row"].to_numpy()
    centroids = _centroids(folder)
    faiss = load_faiss()
    index = faiss.IndexFlatL2(D)
    index.add(centroids)
    limits = {
        "draw training points": _seconds(lambda: [len(block) for block in _decoded(corpus)]),
        "assign": _seconds(lambda: [len(index.search(block, 1)[1]) for block in _decoded(corpus)]),
        "write": _seconds(lambda: _write(corpus, rows, folder / "plain.parquet")),
    }
    table = [_row(f"{n:,} vectors", name, stages[name], limit) for name, limit in limits.items()]
    for name in ("open", "hash", "train", "distances", "prepare", "losses", "sample", "evidence"):
        table.append(_row(f"{n:,} vectors", name, stages[name], None))
    return [*table, *_whole(f"{n:,} vectors", spent, corpus, "--encoder", "column:emb", "--clusters", str(K))]


def _t0(t0: Path, folder: Path) -> Table:
    manifest, spent = selection(t0, folder)
    stages = seconds_by_stage(manifest)
    texts = t0_texts(t0)
    encoder = LexicalEncoder()
    some = np.random.default_rng(0).choice(len(texts), min(FIT_RECORDS, len(texts)), replace=False)
    sample = [texts[i][:FIT_CHARACTERS] for i in some]
    fitting = _seconds(lambda: encoder.fit(sample, seed=0))
    encoding = _seconds(lambda: [len(encoder.encode(texts[at : at + 1024])) for at in range(0, len(texts), 1024)])
    reading = _seconds(lambda: t0_texts(t0))
    limits = {"fit": reading + fitting, "embed": max(encoding, reading)}
    table = [_row("T0", name, stages[name], limit) for name, limit in limits.items()]
    for name in stages:
        if name not in limits:
            table.append(_row("T0", name, stages[name], None))
    return [*table, *_whole("T0", spent, t0)]


def _centroids(folder: Path) -> np.ndarray:
    (entry,) = (folder / "work").glob("centroids-*")
    return np.load(entry / "centroids.npy")


def _decoded(path: Path):
    with pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
        for batch in file.iter_batches(ROWS, columns=["emb.list.element"]):
            yield batch.column(0).flatten().to_numpy().reshape(-1, D)


def _write(corpus: Path, rows: np.ndarray, path: Path) -> None:
    with pq.ParquetFile(corpus, pre_buffer=False, buffer_size=1 << 20) as file:
        start = 0
        with pq.ParquetWriter(path, file.schema_arrow) as writer:
            for batch in file.iter_batches(ROWS):
                low, high = np.searchsorted(rows, [start, start + len(batch)])
                writer.write_batch(batch.take(pa.array(rows[low:high] - start)))
                start += len(batch)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    spent = time.perf_counter() - start
    _say(f"loop: {spent:.1f} s")
    return spent


def _row(corpus: str, stage: str, seconds: float, limit: float | None) -> dict[str, object]:
    return {
        "corpus": corpus,
        "stage": stage,
        "seconds": seconds,
        "plain loop, s": "" if limit is None else limit,
        "ratio": "" if limit is None else seconds / limit,
    }


def _whole(name: str, spent: Cost, corpus: Path, *arguments: str) -> Table:
    """The whole process, and what --dry-run says of it."""
    forecast = forecast_cost(corpus, *arguments)
    peak = f"whole process, {spent.peak_mib:,.0f} MiB at the peak"
    return [
        {"corpus": name, "stage": peak, "seconds": spent.seconds, "plain loop, s": "", "ratio": ""},
        {
            "corpus": name,
            "stage": f"forecast by --dry-run, {forecast.peak_mib:,.0f} MiB",
            "seconds": forecast.seconds,
            "plain loop, s": "",
            "ratio": forecast.seconds / spent.seconds,
        },
    ]


def _say(line: str) -> None:
    print(line, flush=True)
