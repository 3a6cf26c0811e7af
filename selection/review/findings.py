"""What a check found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

State = Literal["holds", "drifted", "unknown"]


@dataclass(frozen=True)
class Finding:
    """One thing that does not hold, or of which nobody can tell whether it does."""

    part: str
    """manifest, inputs, encoder, options, outputs or weights."""
    state: Literal["drifted", "unknown"]
    detail: str
    """What it is, in one line."""


def drifted(part: str, detail: str) -> Finding:
    """Something that is not as it was."""
    return Finding(part, "drifted", detail)


def unknown(part: str, detail: str) -> Finding:
    """Something of which nobody can tell."""
    return Finding(part, "unknown", detail)


def worst(findings: Iterable[Finding]) -> State:
    """What a machine should go by: one drift is drift; what cannot be told matters where nothing has drifted."""
    states = {finding.state for finding in findings}
    return "drifted" if "drifted" in states else "unknown" if states else "holds"
