"""`tithe select t0.parquet` with the defaults, as whole processes, beside the same work as a plain script.

The script embeds with scikit-learn (hashing, TF-IDF, truncated SVD), clusters with faiss.Kmeans from the wheel as
shipped, and draws by Algorithm 1. Medians of five runs each, in turn. Nothing is cached between runs but files.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.common import TITHE, Table, cost, data

SCRIPT = """
import sys
import faiss, numpy as np, pyarrow.parquet as pq
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.preprocessing import normalize
table = pq.read_table(sys.argv[1])
texts = [a + "\\n" + b for a, b in zip(table["prompt"].to_pylist(), table["completion"].to_pylist())]
counts = HashingVectorizer(n_features=2**17, norm=None, alternate_sign=False).transform(texts)
x = TruncatedSVD(256, random_state=0).fit_transform(TfidfTransformer(sublinear_tf=True).fit_transform(counts))
x = normalize(x).astype(np.float32)
kmeans = faiss.Kmeans(256, 235, niter=25, seed=1)
kmeans.train(x)
d, _ = kmeans.index.search(x, 1)
p = 0.5 / len(x) + 0.5 * d[:, 0] / d.sum()
rows = np.sort(np.random.default_rng(0).choice(len(x), 635, p=p / p.sum()))
subset = table.take(rows).append_column("weight", [1 / (635 * p[rows])])
pq.write_table(subset, sys.argv[2])
"""


def run() -> list[Table]:
    """One table: a row for each program."""
    t0 = data("t0.parquet")
    if t0 is None:
        return []
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder) / "s.parquet")
        programs = {
            "tithe": [*TITHE, "select", str(t0), "-o", out, "--force", "--quiet"],
            "plain script": [sys.executable, "-c", SCRIPT, str(t0), out],
        }
        runs = {name: [] for name in programs}
        for _ in range(5):
            for name, command in programs.items():
                runs[name].append(cost(command))
    ratios = [a.seconds / b.seconds for a, b in zip(runs["plain script"], runs["tithe"], strict=True)]
    return [
        [
            {
                "program": name,
                "seconds, median": statistics.median(c.seconds for c in costs),
                "peak MiB, median": statistics.median(c.peak_mib for c in costs),
                "times as slow as tithe, median of pairs": statistics.median(ratios) if name != "tithe" else 1.0,
            }
            for name, costs in runs.items()
        ]
    ]
