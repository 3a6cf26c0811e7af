"""The protocol of a method, and what it finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tithe.selection.proxy import Proxy
from tithe.selection.sensitivity import Scores

Floats = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Judgement:
    """What a method thinks of every record."""

    scores: Scores
    """What the sample is drawn in proportion to; 0 for records that must not be drawn."""
    proxy: Proxy
    spreads: Floats
    """How far each record lies from what its proxy rests on, shape (n,); λ is per unit of it."""
    by_chance: bool = True
    """Whether chance decides: if not, nothing can be said of the error, and all weights are 1."""
    facts: dict[str, Any] = field(default_factory=dict)
    """For the manifest: what the method found out, in JSON values."""


class Method(Protocol):
    """Judges the records of a groundwork.

    All methods share what comes after: inclusion probabilities, samplers, weights, evidence, outputs. A new one is a
    class in a file of its own and a line in the registry.
    """

    @property
    def probes(self) -> Positions:
        """The records whose losses it asks for, shape (m,), known before any loss."""
        ...

    def judge(self, losses: Floats, candidates: Mask) -> Judgement:
        """Judge all records from the losses of the probes, shape (m,).

        Records outside `candidates`, shape (n,), must get the score 0.
        """
        ...
