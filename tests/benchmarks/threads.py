"""What another OMP_NUM_THREADS changes in the subset of T0: every byte is compared."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from tests.benchmarks.common import TITHE, Table, cost, data


def run() -> list[Table]:
    """One table: a row for each number of threads."""
    t0 = data("t0.parquet")
    if t0 is None:
        return []
    rows: Table = []
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "s.parquet"
        for threads in (1, 2, 3, 8):
            command = [*TITHE, "select", str(t0), "-o", str(out), "--force", "--quiet"]
            spent = cost(command, OMP_NUM_THREADS=str(threads))
            digest = hashlib.sha256(out.read_bytes()).hexdigest()[:16]
            rows.append({"OMP_NUM_THREADS": threads, "seconds": spent.seconds, "SHA-256 of the subset": digest})
    return [rows]
