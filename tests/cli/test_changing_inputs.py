"""Inputs that change while they are read end the run, and leave nothing half made."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import Tithe, make_records, write_jsonl

# An encoder that runs what is in the file `change.py` before it encodes for the first time.
ENCODER = """
from pathlib import Path
import numpy as np

class Changing:
    def identity(self):
        return {"name": "changing"}

    def encode(self, texts):
        change = Path("change.py")
        if change.exists():
            script = change.read_text()
            change.unlink()
            exec(script, globals())
        return np.array([[len(t), t.count("e"), 1] for t in texts], np.float32)
"""

CHANGES = {
    "grows": "path.write_bytes(path.read_bytes() + b'{}')",
    "is cut": "os.truncate(path, path.stat().st_size // 2)",
    "is emptied": "path.write_bytes(b'')",
    "is another": "Path('other').write_bytes(b'{}'); os.replace('other', path)",
    "goes": "path.unlink()",
    "becomes a pipe": "path.unlink(); os.mkfifo(path)",
    "becomes a folder": "path.unlink(); path.mkdir()",
    "becomes a link to nothing": "path.unlink(); path.symlink_to('nowhere')",
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", ["in/b.jsonl", "in/b.jsonl.gz", "in/b.parquet"])
def test_a_file_that_changes_is_named_and_nothing_is_written(
    tithe: Tithe, tmp_path: Path, name: str, change: str
) -> None:
    def make() -> None:
        (tmp_path / "in").mkdir(exist_ok=True)
        write_jsonl(tmp_path / "in" / "a.jsonl", make_records(300))
        write_jsonl(tmp_path / "in" / "b.jsonl", make_records(300, seed=1))
        if name.endswith(".gz"):
            (tmp_path / name).write_bytes(gzip.compress((tmp_path / "in" / "b.jsonl").read_bytes()))
        elif name.endswith(".parquet"):
            records = [{"text": record["text"]} for record in make_records(300, seed=1)]
            pq.write_table(pa.Table.from_pylist(records), tmp_path / name, row_group_size=50)
        if not name.endswith("b.jsonl"):
            (tmp_path / "in" / "b.jsonl").unlink()

    make()
    (tmp_path / "changing.py").write_text(ENCODER)
    (tmp_path / "change.py").write_text(f"import os\npath = Path({name!r})\n{CHANGES[change]}")
    arguments = ("select", "in", "-o", "s.jsonl", "--encoder", "changing:Changing", "--size", "60")
    ran = tithe(*arguments)
    assert ran.code == 1, ran.err
    said = "disappeared during the run" if change in ("goes", "becomes a link to nothing") else "changed during the run"
    assert ran.err.splitlines()[-1].startswith(f"tithe: {name}: {said}")
    assert [path.name for path in tmp_path.iterdir() if "s.jsonl" in path.name] == []
    there = tmp_path / name
    if there.is_dir():
        there.rmdir()
    else:
        there.unlink(missing_ok=True)
    make()
    assert tithe(*arguments).code == 0
