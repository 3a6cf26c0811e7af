"""The protocol of a method, and what it finds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from tithe.selection.arrays import Floats, Positions
from tithe.selection.engine.quantities import Quantity
from tithe.selection.errors import UsageError
from tithe.selection.population.candidates import Candidates
from tithe.selection.population.duplicates import times_copies
from tithe.selection.scoring.proxy import Proxy
from tithe.selection.scoring.scores import Scores

if TYPE_CHECKING:
    from tithe.selection.clustering.clustered_corpus import ClusteredCorpus
    from tithe.selection.options.options import Options


Facts = dict[str, dict[str, Any]]
"""Keys of the manifest, each with the JSON schema of its value."""


@dataclass(frozen=True)
class Scoring:
    """What a method thinks of every record."""

    scores: Scores
    """What the sample is drawn in proportion to; 0 for records that must not be drawn."""
    proxy: Proxy
    spreads: Quantity
    """How far each record lies from what its proxy rests on; λ is per unit of it."""
    by_chance: bool = True
    """Whether chance decides: if not, nothing can be said of the error, and all weights are 1."""
    order: Quantity | None = None
    """The order in which records are drawn, a permutation of range(n); None: that of the clusters."""
    notes: tuple[str, ...] = ()
    """What the user should know, a line each."""
    facts: dict[str, Any] = field(default_factory=dict)
    """For the manifest: what the method found out, in JSON values."""

    def times(self, copies: Quantity) -> Scoring:
        """The same where a record is worth what all of its copies are; these scores are used up."""
        return replace(self, scores=replace(self.scores, values=times_copies(self.scores.values, copies)))


class Method:
    """Judges the records of a clustered corpus.

    All methods share what comes after: inclusion probabilities, samplers, weights, evidence, outputs. A new one is a
    class in a file of its own, with `score`, and a line in the registry.
    """

    takes_rank: ClassVar[bool] = False
    """Whether it has a use for --rank."""
    asks_for_losses: ClassVar[bool] = True
    """Whether it judges by the losses of its probes; if not, it has no use for --lambda either."""
    FACTS: ClassVar[Facts] = {}
    """For the schema of the manifest: what `Scoring.facts` may hold, each with its JSON schema."""
    why_not: ClassVar[str] = "others were chosen"
    """Of a method that leaves nothing to chance: why a record is not in the subset."""

    probes: Positions
    """The records whose losses it asks for, shape (m,), known before any loss."""

    def __init__(self, options: Options, clustered: ClusteredCorpus) -> None: ...

    def score(self, losses: Floats, candidates: Candidates) -> Scoring:
        """Score all records from the losses of the probes, shape (m,).

        Records that are no candidates must get the score 0.
        """
        raise NotImplementedError

    @classmethod
    def check(cls, options: Options) -> None:
        """Raise UsageError for options that mean nothing to the method, rather than ignore them."""
        name = f"--method {options.method}"
        if options.rank is not None and not cls.takes_rank:
            raise UsageError(f"{name}: has no use for --rank; leave it out")
        if cls.asks_for_losses:
            return
        if options.smoothness is not None:
            raise UsageError(f"{name}: has no use for --lambda; leave it out")
        if options.loss != "none" and not (options.score_subset or options.validate):
            raise UsageError(f"{name}: asks for no losses; leave --loss out, or say --score-subset or --validate")
