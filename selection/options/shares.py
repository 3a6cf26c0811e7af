"""`--group-share`, `--group-min`, `--group-max`: what is asked for of groups."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tithe.selection.errors import UsageError

OTHER = "other"
"""What `--group-share` calls all groups that it does not name."""

# How far from 1 shares may sum up, by rounding.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Wanted:
    """What the options ask for."""

    least: int | None = None
    most: int | None = None
    shares: Mapping[str, float] = field(default_factory=dict)


def parse_shares(given: Sequence[str]) -> dict[str, float]:
    """Shares of the budget by value, from VALUE=SHARE,...; a value may hold commas. Raises UsageError."""
    found: dict[str, float] = {}
    for text in given:
        parts = re.findall(r"(.*?)=([0-9.eE+-]+)(?:,|$)", text)
        if ",".join(f"{value}={share}" for value, share in parts) != text:
            raise UsageError(f"--group-share {text}: VALUE=SHARE,... is needed")
        for value, share in parts:
            try:
                number = float(share)
            except ValueError:
                number = 0.0
            if not 0 < number <= 1:
                raise UsageError(f"--group-share {value}={share}: a share above 0 and at most 1 is needed")
            if value in found:
                raise UsageError(f"--group-share: {value!r} is there twice")
            found[value] = number
    if found and abs(sum(found.values()) - 1) > _ROUNDING:
        rest = "" if OTHER in found else f" ({OTHER}=SHARE stands for all groups that are not named)"
        raise UsageError(f"--group-share: the shares sum up to {sum(found.values()):.6g}, not to 1{rest}")
    return found
