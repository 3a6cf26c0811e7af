"""Sizes as people read them."""

from __future__ import annotations


def readable(count: float) -> str:
    """A number of bytes in the unit that fits: `1.5 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
