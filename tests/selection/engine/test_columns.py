"""Columns: in memory or in a file, they hold what was put into them, and leave nothing behind."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest

from tithe.selection.engine import columns
from tithe.selection.engine.columns import ColumnWriter, column_of, columns_in, new_column
from tithe.selection.errors import TitheError


def open_files() -> int:
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("most", [0, 100, 1 << 20])
def test_what_is_written_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(columns, "IN_MEMORY", most)
    values = np.arange(1000, dtype=np.float32) / 3
    before = open_files()
    with columns_in(tmp_path):
        for piece in (1, 7, 999, 2000):
            found = column_of((values[i : i + piece].astype(np.float64) for i in range(0, 1000, piece)), np.float32)
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, values)
            np.testing.assert_array_equal(found[np.array([999, 3])], values[[999, 3]])
        new = new_column(1000, np.int32)
        assert not new.any()
        new[5:7] = 3
        assert new.sum() == 6
        assert len(column_of([], np.uint8)) == 0
    assert list(tmp_path.iterdir()) == []
    del found, new
    assert open_files() == before


def test_a_disk_without_room_ends_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mapped file would kill the process instead: room is made before."""
    monkeypatch.setattr(columns, "IN_MEMORY", 100)
    with columns_in(tmp_path), pytest.raises(TitheError, match=f"^{tmp_path}: cannot be written to .*make room"):
        new_column(1 << 58, np.uint8)
    with columns_in(tmp_path / "gone"), pytest.raises(TitheError, match="gone: cannot be written to"):
        ColumnWriter(np.uint8).append(np.zeros(200, np.uint8))
