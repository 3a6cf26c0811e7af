"""Selections of every kind, for tests of what holds of all of them."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.conftest import Tithe, make_records, write_jsonl

BUDGET = ("--clusters", "12", "--size", "60")

CASES: dict[str, tuple[str, ...]] = {
    "plain": ("c.jsonl", "-o", "s.parquet", *BUDGET),
    "losses of the corpus": ("c.jsonl", "-o", "s.jsonl", *BUDGET, "--loss", "column:loss", "--score-subset"),
    "losses of a file": ("c.jsonl", "-o", "s.jsonl.zst", *BUDGET, "--loss", "file:l.jsonl", "--validate", "40"),
    "independent draws": ("c.jsonl", "-o", "s.jsonl", "--epsilon", "0.2", "--sampler", "iid", "--keep-centers"),
    "low rank": ("c.jsonl", "-o", "s.jsonl", *BUDGET, "--loss", "column:loss", "--method", "low-rank", "--rank", "4"),
    "groups": ("c.jsonl", "-o", "s.jsonl", *BUDGET, "--group-by", "topic", "--always", "id=7", "--never", "topic=3"),
    "duplicates": ("twice.jsonl", "-o", "s.jsonl", *BUDGET, "--dedup"),
    "nested": ("c.jsonl", "-o", "s.jsonl", "--fraction", "0.2,0.1,0.05", "--dedup"),
    "near-duplicates": ("twice.jsonl", "-o", "s.jsonl", *BUDGET, "--dedup-near", "0.9"),
    "tokens": ("c.jsonl", "-o", "s.jsonl", "--tokens", "900", "--loss", "column:loss"),
    "tokens, copies": ("c.jsonl", "-o", "s.jsonl", "--tokens", "900", "--dedup", "--weights-as", "replicate"),
    "copies": ("c.jsonl", "-o", "s.jsonl", *BUDGET, "--for", "trl", "--temper", "0.5"),
    "drawn copies": ("c.jsonl", "-o", "s.jsonl", *BUDGET, "--weights-as", "resample"),
    "mean 1": ("c.jsonl", "-o", "s.jsonl", *BUDGET, "--for", "fireworks", "--method", "uniform", "--sampler", "simple"),
    "messages": ("chats", "-o", "s.jsonl", *BUDGET, "--for", "ms-swift", "--encoder", "mine:make"),
    "k-center": ("c.jsonl", "-o", "s.jsonl", *BUDGET, "--method", "k-center"),
    "regression": (
        "c.jsonl", "-o", "s.jsonl", *BUDGET, "--task", "regression", "--features", "id,topic", "--target", "loss",
    ),
    "vectors": ("v.jsonl", "-o", "s.jsonl", *BUDGET, "--encoder", "column:vector", "--on-bad-record", "skip"),
    "vectors of a file": ("c.jsonl", "-o", "s.jsonl", *BUDGET, "--encoder", "npy:v.npy", "--exclude", "first.jsonl"),
    "everything": ("c.jsonl", "-o", "s.jsonl", "--fraction", "1", "--sampler", "iid"),
}  # fmt: skip

_ENCODER = """
import numpy as np

class make:
    def identity(self):
        return {"name": "mine"}

    def encode(self, texts):
        return np.array([[len(t) % 7, t.count("e"), 1.0] for t in texts], np.float32)
"""


@dataclass(frozen=True)
class Made:
    """A selection."""

    folder: Path
    manifest: Path
    """Of the smallest subset, where there are several."""

    @property
    def subset(self) -> Path:
        return self.manifest.with_name(self.manifest.name.removesuffix(".manifest.json"))

    @property
    def rows(self) -> Path:
        return self.manifest.with_name(self.subset.name + ".rows.parquet")

    @property
    def clusters(self) -> Path:
        return self.manifest.with_name(self.subset.name + ".clusters.parquet")

    def outputs(self) -> dict[str, bytes]:
        """The bytes of all but the manifest."""
        return {path.name: path.read_bytes() for path in (self.subset, self.rows, self.clusters)}


def make_inputs(folder: Path) -> None:
    """The inputs of all cases."""
    records = make_records(600)
    write_jsonl(folder / "c.jsonl", records)
    write_jsonl(folder / "l.jsonl", [{"row": i, "loss": record["loss"]} for i, record in enumerate(records)])
    write_jsonl(folder / "twice.jsonl", [*records[:300], *records[:250], *records[:100]])
    vectors = np.random.default_rng(1).standard_normal((600, 5)).astype(np.float32)
    np.save(folder / "v.npy", vectors)
    write_jsonl(folder / "v.jsonl", [{"vector": v.tolist()} for v in vectors[:200]] + [{"vector": None}])
    (folder / "mine.py").write_text(_ENCODER)
    (folder / "chats").mkdir()
    chats = [
        {"messages": [{"role": "user", "content": "say"}, {"role": "assistant", "content": record["text"]}]}
        for record in records
    ]
    write_jsonl(folder / "chats" / "a.jsonl", chats[:300])
    with gzip.open(folder / "chats" / "b.jsonl.gz", "wt") as out:
        out.writelines(json.dumps(chat) + "\n" for chat in chats[300:])


def make(tithe: Tithe, case: str, folder: Path) -> Made:
    """Make the inputs and the selection of a case in the test's folder."""
    make_inputs(folder)
    if "--exclude" in CASES[case]:
        assert tithe("select", "c.jsonl", "-o", "first.jsonl", *BUDGET, "--quiet").code == 0
    ran = tithe("select", *CASES[case])
    assert ran.code == 0, ran.err
    name = "s-0.05.jsonl" if case == "nested" else CASES[case][2]
    return Made(folder, folder / f"{name}.manifest.json")
