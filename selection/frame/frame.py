"""The sampling frame of a selection, drawn up from what the options and the records' fields say."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from tithe.selection.errors import TitheError
from tithe.selection.frame.candidates import Candidates
from tithe.selection.frame.conditions import always_among, but_never
from tithe.selection.frame.duplicates import those_that_stay
from tithe.selection.frame.groups import Groups
from tithe.selection.frame.marks import Marks
from tithe.selection.frame.near import merge_near
from tithe.selection.groundwork import Groundwork
from tithe.selection.options import Options
from tithe.selection.per_record import NOBODY, PerRecord, Positions, worked_out
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
    return frame


def _deduplicated(options: Options, frame: Frame, ground: Groundwork, advance: Advance) -> Frame:
    if options.dedup:
        preferred = np.concatenate([frame.always, np.setdiff1d(frame.centres, frame.always)])
        copies = ground.copies(frame.candidates, preferred)
    else:
        copies = worked_out(frame.candidates, np.uint32)
    if options.dedup_near is not None:
        certain = frame.certain[copies[frame.certain] > 0]
        labels = ground.clusters.labels
        assert isinstance(copies, np.ndarray), "near-duplicates are merged where all records are at hand"
        merge_near(copies, ground.embeddings, labels, options.dedup_near, certain, advance)
    stay = those_that_stay(copies)
    return replace(
        frame,
        candidates=stay,
        always=frame.always[stay[frame.always]],
        centres=frame.centres[stay[frame.centres]],
        copies=copies,
        duplicates=frame.candidates.count - stay.count,
    )
