"""Sizes as people read them."""

from __future__ import annotations

MAX_RECORD_SIZE = 64 << 20
"""Bytes of a record, at most, unless the user allows more: what is made of one may take thirty times as much memory."""


def readable(count: float) -> str:
    """A number of bytes in the unit that fits: `1.5 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun: 1 record, 2,000 records, 2 entries."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
