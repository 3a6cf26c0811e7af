"""The population of a selection, defined by what the options and the records' fields say."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tithe.selection.arrays import Positions
from tithe.selection.clustering.clustered_corpus import ClusteredCorpus
from tithe.selection.engine.quantities import NOBODY, Among, Derived, Few, Quantity, materialized, total
from tithe.selection.engine.stages import Advance, Stages
from tithe.selection.errors import TitheError, UsageError
from tithe.selection.options.options import Options
from tithe.selection.population.candidates import Candidates
from tithe.selection.population.conditions import always_among, but_never
from tithe.selection.population.duplicates import copies_of, those_that_stay
from tithe.selection.population.groups import Groups
from tithe.selection.population.near_duplicates import merge_near
from tithe.selection.population.record_fields import RecordFields


@dataclass(frozen=True)
class Population:
    """The usable records as a population to draw from."""

    candidates: Candidates
    always: Positions = field(default_factory=lambda: NOBODY)
    """Candidates of `--always`, ascending."""
    centres: Positions = field(default_factory=lambda: NOBODY)
    """Candidates that are centres, where `--keep-centers` makes these certain; ascending."""
    copies: Quantity | None = None
    """How many records each candidate stands for, shape (n,), 0 for those that are none; None: for itself."""
    groups: Groups | None = None
    tokens: npt.NDArray[np.uint32] | None = None
    """Tokens of each record, where the budget is one of tokens."""
    token_budget: int | None = None
    excluded: int = 0
    """Records left out by `--exclude`."""
    never: int = 0
    """Records left out by `--never` besides."""
    duplicates: int | None = None
    """Records left out since another stands for them; None: there was no `--dedup`."""
    longest: int | None = None
    """Tokens that a record may have to be left to chance; None: as many as it likes."""
    too_long: int = 0
    """Records left out since they have more."""
    given: bytes = b""
    """What an earlier draw can have had a say in; see seeds.py."""

    @property
    def certain(self) -> Positions:
        """Candidates that are taken in any case, ascending."""
        return np.union1d(self.always, self.centres)

    @property
    def stands_for(self) -> Quantity:
        """How many records each one stands for."""
        return self.candidates if self.copies is None else self.copies

    @property
    def represented(self) -> int:
        """How many records all candidates stand for."""
        return self.candidates.count + (self.duplicates or 0)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know of them, a line each."""
        if not self.too_long:
            return ()
        return (
            f"--tokens: records of more than {self.longest:,} tokens, half of what is left to chance, are left out "
            f"({self.too_long:,} of {self.too_long + self.candidates.count:,}); the weights stand for the rest",
        )

    def within(self, some: Positions) -> Population:
        """The population of a second phase: some of the candidates, ascending, each for itself."""

        def numbers(positions: Positions) -> Positions:
            return np.flatnonzero(np.isin(some, positions))

        return Population(
            Candidates.everyone(len(some)),
            numbers(self.always),
            numbers(self.centres),
            groups=None if self.groups is None else replace(self.groups, codes=self.groups.codes[some]),
        )


def define_population(
    options: Options,
    clustered: ClusteredCorpus,
    excluded: npt.NDArray[np.int64],
    record_fields: RecordFields,
    stages: Stages,
) -> Population:
    """The population that the options ask for.

    Args:
        options: all of them.
        clustered: the usable records, clustered.
        excluded: overall rows that `--exclude` names, ascending.
        record_fields: what the records' fields say; those of the usable records.
        stages: where duplicates are looked for.

    Raises TitheError where no candidate is left, UsageError where more of them are certain than are to be drawn.
    """
    n = clustered.records
    candidates = Candidates.without(n, clustered.positions(excluded))
    if candidates.count == 0:
        raise TitheError(f"--exclude {' '.join(options.exclude)}: leaves no record to choose from")
    given = json.dumps([n, options.always, options.never]).encode() + excluded.tobytes()
    population = Population(
        candidates,
        groups=record_fields.groups,
        tokens=clustered.tokens,
        token_budget=options.tokens,
        excluded=candidates.excluded,
        given=given,
    )
    if record_fields.flags is not None:
        candidates = but_never(candidates, record_fields.flags)
        if candidates.count == 0:
            raise TitheError(f"--never {' '.join(options.never)}: leaves no record to choose from")
        never = candidates.excluded - population.excluded
        # A budget of tokens may hold more records than are planned.
        most = candidates.count if options.tokens is not None else min(clustered.plan.size, candidates.count)
        always = always_among(candidates, record_fields.flags, most)
        population = replace(population, candidates=candidates, never=never, always=always)
    if options.keep_centers:
        centres = np.sort(clustered.clusters.centres)
        population = replace(population, centres=centres[candidates[centres]])
    if options.dedup or options.dedup_near is not None:
        with stages("dedup", n) as advance:
            population = _deduplicated(options, population, clustered, advance)
    return population if options.tokens is None else _without_too_long(population, options.tokens)


def _deduplicated(options: Options, population: Population, clustered: ClusteredCorpus, advance: Advance) -> Population:
    if options.dedup:
        preferred = np.concatenate([population.always, np.setdiff1d(population.centres, population.always)])
        copies = copies_of(clustered.texts, population.candidates, preferred)
    else:
        copies = materialized(population.candidates, np.uint32)
    if options.dedup_near is not None:
        certain = population.certain[copies[population.certain] > 0]
        labels = clustered.clusters.labels
        merge_near(copies, clustered.vectors, labels, options.dedup_near, certain, advance)
    stay = those_that_stay(copies)
    return replace(
        population,
        candidates=stay,
        always=population.always[stay[population.always]],
        centres=population.centres[stay[population.centres]],
        copies=copies,
        duplicates=population.candidates.count - stay.count,
    )


def _without_too_long(population: Population, budget: int) -> Population:
    """The population without the records that have more than half of the tokens that are left to chance.

    With one of them in a sample, the others could not make up for it. Those that are certain stay.
    """
    tokens, candidates, certain = population.tokens, population.candidates, population.certain
    assert tokens is not None, "they were counted"
    all_ = int(total(Derived(np.multiply, tokens, candidates)))
    if all_ <= budget:
        return population
    certainly = int(np.asarray(tokens[certain], np.int64).sum())
    if certainly > budget:
        raise UsageError(
            f"--tokens {budget:,}: the {len(certain):,} records that are certain have {certainly:,} tokens already"
        )
    longest = (budget - certainly) // 2

    def stays(candidate: npt.NDArray[np.bool_], length: npt.NDArray[Any], sure: npt.NDArray[np.bool_]) -> Any:
        return candidate & (sure | (length <= longest))

    mask = Derived(stays, candidates, tokens, Among(Few(certain), len(candidates)))
    left = Candidates(mask, int(total(mask)))
    too_long = candidates.count - left.count
    if 2 * too_long > candidates.count:
        raise UsageError(
            f"--tokens {budget:,}: {budget - certainly:,} are left to chance, and {too_long:,} of {candidates.count:,} "
            f"records have more than half of that; they have {all_ / candidates.count:,.0f} on average"
        )
    population = replace(population, candidates=left, longest=longest, too_long=too_long)
    if population.copies is None or not too_long:
        return population
    copies = materialized(Derived(np.multiply, population.copies, left), np.uint32)
    return replace(population, copies=copies, duplicates=int(total(copies)) - left.count)
