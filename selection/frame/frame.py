"""The sampling frame of a selection, drawn up from what the options and the records' fields say."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tithe.selection.errors import TitheError, UsageError
from tithe.selection.frame.candidates import Candidates
from tithe.selection.frame.conditions import always_among, but_never
from tithe.selection.frame.duplicates import those_that_stay
from tithe.selection.frame.groups import Groups
from tithe.selection.frame.marks import Marks
from tithe.selection.frame.near import merge_near
from tithe.selection.groundwork import Groundwork
from tithe.selection.options import Options
from tithe.selection.per_record import NOBODY, Among, Derived, Few, PerRecord, Positions, total, worked_out
from tithe.selection.stages import Advance, Stages


@dataclass(frozen=True)
class Frame:
    """The usable records as a population to draw from."""

    candidates: Candidates
    always: Positions = field(default_factory=lambda: NOBODY)
    """Candidates of `--always`, ascending."""
    centres: Positions = field(default_factory=lambda: NOBODY)
    """Candidates that are centres, where `--keep-centers` makes these certain; ascending."""
    copies: PerRecord | None = None
    """How many records each candidate stands for, shape (n,), 0 for those that are none; None: for itself."""
    groups: Groups | None = None
    tokens: npt.NDArray[np.uint32] | None = None
    """Tokens of each record, where the budget is one of tokens."""
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
    """What an earlier draw can have had a say in; see streams.py."""

    @property
    def certain(self) -> Positions:
        """Candidates that are taken in any case, ascending."""
        return np.union1d(self.always, self.centres)

    @property
    def stands_for(self) -> PerRecord:
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

    def within(self, some: Positions) -> Frame:
        """The frame of a second phase, whose population are some of the candidates, ascending, each for itself."""

        def numbers(positions: Positions) -> Positions:
            return np.flatnonzero(np.isin(some, positions))

        return Frame(
            Candidates.everyone(len(some)),
            numbers(self.always),
            numbers(self.centres),
            groups=None if self.groups is None else replace(self.groups, codes=self.groups.codes[some]),
        )


def draw_up(
    options: Options,
    ground: Groundwork,
    excluded: npt.NDArray[np.int64],
    marks: Marks,
    stages: Stages,
) -> Frame:
    """The frame that the options ask for.

    Args:
        options: all of them.
        ground: the usable records, clustered.
        excluded: overall rows that `--exclude` names, ascending.
        marks: what the records' fields say; those of the usable records.
        stages: where duplicates are looked for.

    Raises TitheError where no candidate is left, UsageError where more of them are certain than are to be drawn.
    """
    n = len(ground.clusters.labels)
    candidates = Candidates.without(n, ground.positions(excluded))
    if candidates.count == 0:
        raise TitheError(f"--exclude {' '.join(options.exclude)}: leaves no record to choose from")
    given = json.dumps([n, options.always, options.never]).encode() + excluded.tobytes()
    frame = Frame(candidates, groups=marks.groups, tokens=ground.tokens, excluded=candidates.excluded, given=given)
    if marks.flags is not None:
        candidates = but_never(candidates, marks.flags)
        if candidates.count == 0:
            raise TitheError(f"--never {' '.join(options.never)}: leaves no record to choose from")
        never = candidates.excluded - frame.excluded
        # A budget of tokens may hold more records than are planned.
        most = candidates.count if options.tokens is not None else min(ground.plan.size, candidates.count)
        always = always_among(candidates, marks.flags, most)
        frame = replace(frame, candidates=candidates, never=never, always=always)
    if options.keep_centers:
        centres = np.sort(ground.clusters.centres)
        frame = replace(frame, centres=centres[candidates[centres]])
    if options.dedup or options.dedup_near is not None:
        with stages("dedup", n) as advance:
            frame = _deduplicated(options, frame, ground, advance)
    return frame if options.tokens is None else _without_too_long(frame, options.tokens)


def _deduplicated(options: Options, frame: Frame, ground: Groundwork, advance: Advance) -> Frame:
    if options.dedup:
        preferred = np.concatenate([frame.always, np.setdiff1d(frame.centres, frame.always)])
        copies = ground.copies(frame.candidates, preferred)
    else:
        copies = worked_out(frame.candidates, np.uint32)
    if options.dedup_near is not None:
        certain = frame.certain[copies[frame.certain] > 0]
        labels = ground.clusters.labels
        merge_near(copies, ground.vectors, labels, options.dedup_near, certain, advance)
    stay = those_that_stay(copies)
    return replace(
        frame,
        candidates=stay,
        always=frame.always[stay[frame.always]],
        centres=frame.centres[stay[frame.centres]],
        copies=copies,
        duplicates=frame.candidates.count - stay.count,
    )


def _without_too_long(frame: Frame, budget: int) -> Frame:
    """The frame without the records that have more than half of the tokens that are left to chance.

    With one of them in a sample, the others could not make up for it. Those that are certain stay.
    """
    tokens, candidates, certain = frame.tokens, frame.candidates, frame.certain
    assert tokens is not None, "they were counted"
    all_ = int(total(Derived(np.multiply, tokens, candidates)))
    if all_ <= budget:
        return frame
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
    frame = replace(frame, candidates=left, longest=longest, too_long=too_long)
    if frame.copies is None or not too_long:
        return frame
    copies = worked_out(Derived(np.multiply, frame.copies, left), np.uint32)
    return replace(frame, copies=copies, duplicates=int(total(copies)) - left.count)
