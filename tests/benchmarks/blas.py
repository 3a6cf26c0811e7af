"""Search against 1,000 centroids (100,000 x 256) by faiss-cpu's wheel: the kernel as shipped beside the one tithe chooses.

Each in a process of its own, without OPENBLAS settings of the person who runs this; the best of five searches.
"""

from __future__ import annotations

import subprocess
import sys

from tests.benchmarks.common import SHIPPED, Table

SEARCH = """
import time
{first}
import faiss
import numpy as np
from threadpoolctl import threadpool_info
x = np.random.default_rng(0).standard_normal((100_000, 256), dtype=np.float32)
index = faiss.IndexFlatL2(256)
index.add(x[:1000])
seconds = []
for _ in range(5):
    start = time.perf_counter()
    index.search(x, 1)
    seconds.append(time.perf_counter() - start)
print([i["architecture"] for i in threadpool_info() if "faiss" in i["filepath"] and "architecture" in i][0], min(seconds))
"""


def run() -> list[Table]:
    """One table: a row for each kernel."""
    rows: Table = []
    shipped = 0.0
    for name, first in (
        ("as shipped", ""),
        ("tithe", "from tithe.selection.engine.blas import choose_kernel; choose_kernel()"),
    ):
        command = [sys.executable, "-c", SEARCH.format(first=first)]
        printed = subprocess.run(command, env=SHIPPED, capture_output=True, text=True, check=True).stdout.split()
        seconds = float(printed[1])
        shipped = shipped or seconds
        rows.append({"chosen by": name, "kernel": printed[0], "seconds": seconds, "times as fast": shipped / seconds})
    return [rows]
