"""What a selection holds for each record."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.state import steps_of

RECORDS = 4_000_000

# For blocks of records, what belongs to the sample of 1%, and 16 MiB to look for records by.
CONSTANT = 40 << 20


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks can be measured on Linux only")
@pytest.mark.parametrize("k", [1, 1000])
def test_what_comes_after_clustering_holds_16_bytes_a_record(k: int) -> None:
    for step in steps_of(RECORDS, k):
        assert step["bytes a record"] * RECORDS < 16 * RECORDS + CONSTANT, step
