"""The configurations we ship work, and every key in them is an option."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.conftest import Tithe, make_records, write_jsonl

CONFIGS = Path(__file__).parent.parent.parent / "configs"


def test_chat_sft(tithe: Tithe, tmp_path: Path) -> None:
    chats = [{"messages": [{"role": "user", "content": record["text"]}]} for record in make_records(200)]
    write_jsonl(tmp_path / "corpus.jsonl", chats)
    ran = tithe("select", "corpus.jsonl", "-o", "subset.jsonl", "--config", CONFIGS / "chat-sft.toml")
    assert ran.code == 0, ran.err
    assert len((tmp_path / "subset.jsonl").read_text().splitlines()) == 10


def test_precomputed(tithe: Tithe, tmp_path: Path) -> None:
    (tmp_path / "embedded").mkdir()
    vectors = np.random.default_rng(0).standard_normal((5000, 8)).astype(np.float32)
    table = pa.table({"embedding": pa.FixedSizeListArray.from_arrays(vectors.ravel(), 8)})
    pq.write_table(table, tmp_path / "embedded" / "a.parquet")
    ran = tithe("select", "embedded", "-o", "subset.parquet", "--config", CONFIGS / "precomputed.toml")
    assert ran.code == 0, ran.err
    assert pq.read_metadata(tmp_path / "subset.parquet").num_rows == 1000 + 2500


def test_ci(tithe: Tithe, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "build").mkdir()
    write_jsonl(tmp_path / "data" / "train.jsonl", make_records(1500))
    for _ in range(2):
        ran = tithe("select", "--config", CONFIGS / "ci.toml")
        assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert pq.read_metadata(tmp_path / "build" / "subset.parquet").num_rows == 1000


def test_regression(tithe: Tithe, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    columns = {name: rng.random(600) for name in ("age", "income", "rooms", "price")}
    pq.write_table(pa.table(columns), tmp_path / "houses.parquet")
    ran = tithe("select", "houses.parquet", "-o", "subset.parquet", "--config", CONFIGS / "regression.toml")
    assert ran.code == 0, ran.err
    assert pq.read_metadata(tmp_path / "subset.parquet").num_rows == 300
