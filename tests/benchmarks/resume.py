"""kill -9 at 30 random moments of a run, and the same command again: T0 with a slow encoder, and vectors in Parquet.

The second run must end with the bytes of an undisturbed one, and embed nothing twice but the 1,024 records that the
encoder had in hand when it was killed. A row for each corpus; a failure ends the benchmark.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.benchmarks.common import SHIPPED, TITHE, Table, data
from tests.benchmarks.precomputed import write_corpus
from tithe.selection.embedding.encode import ENCODER_BATCH

KILLS = 30

SLOW = """
import time, zlib
import numpy as np

class Slow:
    def identity(self):
        return {"name": "slow"}
    def encode(self, texts):
        with open("encoded", "a") as file:
            file.write("x" * len(texts))
        time.sleep(0.1)
        words = [[zlib.crc32(word.encode()) % 64 for word in text.split()[:200]] for text in texts]
        return np.stack([np.bincount(found, minlength=64) + 0.01 for found in words]).astype(np.float32)
"""


def run() -> list[Table]:
    """One table: a row for each corpus."""
    rows: Table = []
    Path("build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir="build") as name:
        folder = Path(name).absolute()
        (folder / "slow.py").write_text(SLOW)
        if (t0 := data("t0.parquet")) is not None:
            rows.append(_row("T0, slow encoder", folder, [str(t0.absolute()), "--encoder", "slow:Slow"]))
        corpus = folder / "c.parquet"
        write_corpus(corpus, 50_000)
        rows.append(_row("50,000 vectors in Parquet", folder, [str(corpus), "--encoder", "column:emb"]))
    return [rows]


def _row(name: str, folder: Path, arguments: list[str]) -> dict[str, object]:
    rng = random.Random(0)
    _start(folder, arguments).wait()
    _forget(folder)
    start = time.perf_counter()
    assert _start(folder, arguments).wait() == 0
    takes = time.perf_counter() - start
    whole, needed = (folder / "s.parquet").read_bytes(), _encoded(folder)
    ends: Counter[str] = Counter()
    most_again, seconds = 0, []
    number = 0
    while number < KILLS:
        _forget(folder)
        process = _start(folder, arguments)
        time.sleep(rng.uniform(0, takes))
        process.kill()
        if process.wait() == 0:
            continue  # it had ended before
        kept = sorted({path.name.partition("-")[0] for path in (folder / "work").glob("*") if path.name != "lock"})
        ends[f"with {', '.join(kept) or 'nothing'}"] += 1
        number += 1
        start = time.perf_counter()
        assert _start(folder, arguments).wait() == 0
        seconds.append(time.perf_counter() - start)
        assert (folder / "s.parquet").read_bytes() == whole, f"kill {number}: other bytes"
        again = _encoded(folder) - needed
        assert again <= ENCODER_BATCH, f"kill {number}: {again} records embedded twice"
        most_again = max(most_again, again)
        print(number, dict(ends), again, flush=True)
    return {
        "corpus": name,
        "kills": KILLS,
        "undisturbed, s": takes,
        "the run that went on, s, mean": sum(seconds) / KILLS,
        "same bytes": KILLS,
        "records embedded twice, at most": most_again,
        "kept at the kill": "; ".join(f"{count} {what}" for what, count in ends.most_common()),
    }


def _start(folder: Path, arguments: list[str]) -> subprocess.Popen[bytes]:
    options = ["-o", "s.parquet", "--work-dir", "work", "--clusters", "100", "--size", "500", "--force", "--quiet"]
    return subprocess.Popen([*TITHE, "select", *arguments, *options], cwd=folder, env=SHIPPED)


def _forget(folder: Path) -> None:
    shutil.rmtree(folder / "work", ignore_errors=True)
    for name in ("encoded", "s.parquet"):
        (folder / name).unlink(missing_ok=True)


def _encoded(folder: Path) -> int:
    path = folder / "encoded"
    return path.stat().st_size if path.exists() else 0
