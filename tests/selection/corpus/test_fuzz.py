"""A glance of the fuzzer: `python -m tests.selection.corpus.fuzz` reads many more files."""

from __future__ import annotations

from tests.selection.corpus.fuzz.cases import KINDS
from tests.selection.corpus.fuzz.parent import Tally, run
from tests.selection.corpus.fuzz.reading import READ, REFUSED


def test_damaged_files_end_in_one_line() -> None:
    tally = Tally()
    assert list(run(tally, first=0, cases=1500, seed=0, limit=60))[-1] == 1500
    assert tally.findings() == []
    for outcome in (READ, REFUSED):  # neither all good nor all hopeless
        assert {kind for kind, how in tally.counts if how == outcome} == set(KINDS)


def test_a_column_that_ends_early_in_a_row_group_does_not_go_on_in_the_next() -> None:
    """Found by the fuzzer: read together, Arrow filled the gap from the next group, and moved all values after it."""
    tally = Tally()
    assert list(run(tally, first=7158, cases=1, seed=12, limit=60))[-1] == 1
    assert tally.findings() == []
