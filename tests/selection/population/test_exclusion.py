"""Earlier subsets: their rows, or one line that says what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tithe.selection.errors import TitheError
from tithe.selection.population.exclusion import excluded_rows

GOOD = json.dumps({"inputs": [{"sha256": "0"}]})


def subset(folder: Path, manifest: str, **columns: object) -> str:
    (folder / "s.jsonl.manifest.json").write_text(manifest)
    pq.write_table(pa.table(columns), folder / "s.jsonl.rows.parquet")
    return str(folder / "s.jsonl")


def test_rows_of_several_subsets_come_once_and_in_order(tmp_path: Path) -> None:
    path = subset(tmp_path, GOOD, row=[7, 3], weight=[1.0, 2.0])
    assert excluded_rows([path, path], ["0"]).tolist() == [3, 7]
    assert excluded_rows([], ["0"]).tolist() == []


@pytest.mark.parametrize(
    ("manifest", "columns"),
    [
        ("[" * 100_000, {"row": [1]}),
        ("[]", {"row": [1]}),
        ("\0", {"row": [1]}),
        (GOOD, {"rows": [1]}),
        (GOOD, {"row": ["a"]}),
        (GOOD, {"row": [1, None]}),
    ],
)
def test_a_damaged_one_is_said_in_one_line(tmp_path: Path, manifest: str, columns: dict) -> None:
    with pytest.raises(TitheError, match=r"--exclude .*s\.jsonl: .*is damaged \(") as caught:
        excluded_rows([subset(tmp_path, manifest, **columns)], ["0"])
    assert str(caught.value).isprintable()
