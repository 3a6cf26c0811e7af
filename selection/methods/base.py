"""The protocol of a method, and what it finds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tithe.selection.frame.candidates import Candidates
from tithe.selection.frame.duplicates import times_copies
from tithe.selection.per_record import PerRecord
from tithe.selection.proxy import Proxy
from tithe.selection.sensitivity import Scores

Floats = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Judgement:
    """What a method thinks of every record."""

    scores: Scores
    """What the sample is drawn in proportion to; 0 for records that must not be drawn."""
    proxy: Proxy
    spreads: PerRecord
    """How far each record lies from what its proxy rests on; λ is per unit of it."""
    by_chance: bool = True
    """Whether chance decides: if not, nothing can be said of the error, and all weights are 1."""
    order: PerRecord | None = None
    """The order in which records are drawn, a permutation of range(n); None: that of the clusters."""
    notes: tuple[str, ...] = ()
    """What the user should know, a line each."""
    facts: dict[str, Any] = field(default_factory=dict)
    """For the manifest: what the method found out, in JSON values."""

    def times(self, copies: PerRecord) -> Judgement:
        """The same where a record is worth what all of its copies are; these scores are used up."""
        return replace(self, scores=replace(self.scores, values=times_copies(self.scores.values, copies)))


class Method(Protocol):
    """Judges the records of a groundwork.

    All methods share what comes after: inclusion probabilities, samplers, weights, evidence, outputs. A new one is a
    class in a file of its own and a line in the registry.
    """

    @property
    def probes(self) -> Positions:
        """The records whose losses it asks for, shape (m,), known before any loss."""
        ...

    def judge(self, losses: Floats, candidates: Candidates) -> Judgement:
        """Judge all records from the losses of the probes, shape (m,).

        Records that are no candidates must get the score 0.
        """
        ...
