"""Numbers and foreign text as the page shows them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

# Items of a list that are shown where a record is printed as JSON.
_ITEMS_SHOWN = 3

# What would reorder the page, hide in it, or print as nothing: bidirectional controls, controls but for tab and line
# ends, halves of surrogate pairs, line separators, zero-width characters that no script needs, tags.
_UNSEEN = re.compile(
    "[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
    "\ud800-\udfff"
    "\u2028\u2029\u200b\u2060-\u2064\ufeff"
    "\U000e0000-\U000e007f]"
)

# Marks that are put on the letter before, more than any script puts on one: they would cover the lines above and below.
_PILED = re.compile(
    "(?<=[{0}]{{8}})[{0}]+".format("\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f")
)


def visible(text: str) -> str:
    """The text with every character that acts unseen written as its number, ⟨U+202E⟩; piled marks counted."""
    text = _PILED.sub(lambda match: f"⟨{len(match[0])} marks⟩", text)
    return _UNSEEN.sub(lambda match: f"⟨U+{ord(match[0]):04X}⟩", text)


def excerpt(text: str, limit: int) -> str:
    """The beginning of a text in one line, at most `limit` characters and an ellipsis."""
    # More than is shown, so that collapsed blanks leave enough; never the whole, which may be megabytes.
    line = " ".join(visible(text[: 4 * limit]).split())
    cut = len(line) > limit or len(text) > 4 * limit
    # Not an ordinary blank: the ellipsis would stand alone on a line.
    return line[:limit].rstrip() + "\u00a0…" if cut else line


def compact_json(record: Mapping[str, Any]) -> str:
    """A record as one line of JSON, with long lists, embeddings above all, cut short."""
    return json.dumps(_elided(record), ensure_ascii=False, default=str)


def number(value: float) -> str:
    """Three significant digits, or all digits before the point: 0.0124, 2.31, 20,000."""
    if abs(value) >= 1e9 or 0 < abs(value) < 1e-4:
        return f"{value:.2e}"
    if abs(value) >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def measured(value: float, error: float | None) -> str:
    """A number to the digits that its standard error leaves meaningful: two of the error's own."""
    if not error or not 1e-6 < error < 1e6:
        return number(value)
    shown = f"{error:.1e}"
    return f"{value:,.{max(0, 1 - int(shown[shown.index('e') + 1 :]))}f}"


def percent(share: float) -> str:
    """A share in per cent; nothing that is less than all reads 100%, nothing above 0 reads 0%."""
    if share in (0, 1):
        return f"{share:.0%}"
    for digits in (1, 2, 3) if share >= 0.1 else (2, 3):
        shown = f"{share:.{digits}%}"
        if 0 < float(shown[:-1]) < 100:
            return shown
    return "< 0.001%" if share < 0.5 else "> 99.999%"


def _elided(value: Any, depth: int = 0) -> Any:
    if depth > 6:
        return "…"
    if isinstance(value, Mapping):
        return {str(key): _elided(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        shown = [_elided(item, depth + 1) for item in value[:_ITEMS_SHOWN]]
        if len(value) > 2 * _ITEMS_SHOWN:
            return [*shown, f"… {len(value):,} in all"]
        return [*shown, *(_elided(item, depth + 1) for item in value[_ITEMS_SHOWN:])]
    return value
