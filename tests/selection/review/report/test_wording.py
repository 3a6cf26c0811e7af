"""Numbers and foreign text as the page words them."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tithe.selection.review.report.wording import compact_json, excerpt, measured, number, percent, visible
from tithe.selection.sizes import counted


@given(st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_less_than_all_is_never_100_percent_and_something_never_0(share: float) -> None:
    shown = percent(share)
    value = float(shown.strip("<> %"))
    assert 0 < value < 100
    if shown[0] in "<>":
        assert (100 * share < value) == (shown[0] == "<")
    else:
        assert value == pytest.approx(100 * share, abs=0.0501)


def test_nothing_and_all_are_round() -> None:
    assert [percent(share) for share in (0, 1, 0.5, 0.0123, 0.9996)] == ["0%", "100%", "50.0%", "1.23%", "99.96%"]


@given(st.text(), st.integers(1, 40))
def test_an_excerpt_is_one_short_line_of_what_can_be_seen(text: str, limit: int) -> None:
    shown = excerpt(text, limit)
    kept = shown.removesuffix("\u00a0…")
    assert len(kept) <= limit
    assert visible(shown) == shown
    assert len(shown.splitlines()) <= 1
    whole = " ".join(visible(text).split())
    assert whole.startswith(kept) or len(text) > 4 * limit
    if len(whole) <= limit and len(text) <= 4 * limit:
        assert shown == whole


def test_an_excerpt_says_that_it_is_one() -> None:
    assert excerpt("one  two\nthree", 20) == "one two three"
    assert excerpt("one  two\nthree", 8) == "one two\u00a0…"
    assert excerpt("x" + " " * 1000, 8) == "x\u00a0…"


@pytest.mark.parametrize(
    "unseen", ["\u202e", "\u2066", "\u200b", "\x00", "\x1b", "\u2028", "\ufeff", "\ud800", "\U000e0041"]
)
def test_what_acts_unseen_is_written_as_its_number(unseen: str) -> None:
    assert visible(f"a{unseen}b") == f"a⟨U+{ord(unseen):04X}⟩b"


@given(st.text(st.characters(categories=["L", "M", "N", "P", "S", "Zs"])))
def test_what_can_be_seen_stays(text: str) -> None:
    assert visible(text + "\t\r\n") == text + "\t\r\n"


def test_joiners_that_scripts_need_stay() -> None:
    joined = "می\u200cخو 👩\u200d🚀"
    assert visible(joined) == joined
    assert unicodedata.category("\u200d") == "Cf"  # as the bidirectional controls are: the category does not decide


def test_numbers() -> None:
    shown = [number(value) for value in (0, 0.012345, 2.314, 99.94, 99.96, 20000, -1234.5, 3e9, 1e-5)]
    assert shown == ["0", "0.0123", "2.31", "99.9", "100", "20,000", "-1,234", "3.00e+09", "1.00e-05"]


def test_an_estimate_has_the_digits_that_its_error_leaves() -> None:
    shown = [measured(2.79312, error) for error in (0.0412, 0.41, 4.1, 0.0999, None, 0)]
    assert shown == ["2.793", "2.79", "2.8", "2.79", "2.79", "2.79"]
    assert measured(12345.6, 310) == "12,346"


def test_counts_and_their_nouns() -> None:
    assert [counted(n, "record") for n in (0, 1, 2000)] == ["0 records", "1 record", "2,000 records"]
    assert counted(2, "entry", "entries") == "2 entries"


def test_long_lists_are_cut_short_however_deep() -> None:
    shown = json.loads(compact_json({"text": "ä", "deep": {"vector": list(range(768))}, "few": [1, 2, 3, 4, 5, 6]}))
    assert shown == {"text": "ä", "deep": {"vector": [0, 1, 2, "… 768 in all"]}, "few": [1, 2, 3, 4, 5, 6]}
