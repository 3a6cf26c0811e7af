"""`tithe.selection.api`: what the README shows, and that it is what the command does."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import Tithe, make_records
from tithe.embedders.registry import make_encoder
from tithe.selection.api import select, select_nested
from tithe.selection.errors import TitheError, UsageError

README = Path(__file__).parents[2] / "README.md"


def test_the_example_in_the_readme_runs(corpus: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    (example,) = [block for block in blocks if "tithe.selection.api" in block]
    names: dict = {}
    exec(example, names)
    chosen = names["chosen"]
    assert len(chosen.table) == len(chosen.rows) == len(chosen.weights) == 100


def test_it_is_what_the_command_writes(tithe: Tithe, corpus: Path, tmp_path: Path) -> None:
    ran = tithe("select", corpus, "-o", "s.parquet", "--size", "60", "--loss", "column:loss", "--seed", "3")
    assert ran.code == 0, ran.err
    chosen = select(corpus, make_encoder("lexical"), size=60, loss="column:loss", seed=3)
    assert chosen.table.equals(pq.read_table(tmp_path / "s.parquet"))
    assert chosen.details.equals(pq.read_table(tmp_path / "s.parquet.rows.parquet"))
    assert chosen.rows.tolist() == chosen.table["id"].to_pylist()
    np.testing.assert_array_equal(chosen.weights, chosen.table["weight"].to_numpy())
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith("s.parquet")) == ["corpus.jsonl"]


def test_tables_go_in_and_nested_subsets_come_out() -> None:
    table = pa.Table.from_pylist(make_records(400))
    large, small = select_nested(table, make_encoder("lexical"), fraction=(0.05, 0.2))
    assert (len(large.rows), len(small.rows)) == (80, 20)
    assert np.isin(small.rows, large.rows).all()
    assert small.table["text"].to_pylist() == table.take(small.rows)["text"].to_pylist()
    with pytest.raises(UsageError, match="select_nested"):
        select(table, make_encoder("lexical"), fraction=(0.05, 0.2))


def test_errors_are_exceptions(corpus: Path) -> None:
    with pytest.raises(UsageError, match="--size 0"):
        select(corpus, make_encoder("lexical"), size=0)
    with pytest.raises(TitheError, match="nowhere"):
        select("nowhere.jsonl", make_encoder("lexical"))
    with pytest.raises(TypeError, match="sise"):
        select(corpus, make_encoder("lexical"), sise=5)
