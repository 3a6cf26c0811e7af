"""The design that the options name."""

from __future__ import annotations

from tithe.selection.designs.base import Design
from tithe.selection.designs.copies import CopiesDesign
from tithe.selection.designs.grouped import make_group_design
from tithe.selection.designs.pivotal import PivotalDesign
from tithe.selection.designs.registry import SAMPLERS
from tithe.selection.designs.tokens import make_token_design
from tithe.selection.errors import UsageError
from tithe.selection.frame.conditions import do_not_fit
from tithe.selection.frame.frame import Frame
from tithe.selection.options import Options
from tithe.selection.per_record import PerRecord
from tithe.selection.sizes import counted


def make_design(options: Options, frame: Frame, scores: PerRecord, order: PerRecord, size: int) -> Design:
    """The design for a sample of `size` records, or of all candidates where these are fewer.

    Args:
        options: the sampler, the groups.
        frame: the population.
        scores: how likely records are to be drawn, but for a factor, shape (n,); 0 for those that are no candidates.
            Where records stand for others, their scores count all of them.
        order: a permutation of range(n) along which records repel one another.
        size: number of records, or of draws; with `--tokens` of no effect.

    Raises UsageError where what is certain does not fit into the budget, or groups cannot be as wanted.
    """
    candidates, certain = frame.candidates, frame.certain
    size = min(size, candidates.count)
    if frame.tokens is None:
        _check_room(frame, size)
    if frame.tokens is not None:
        assert options.tokens is not None
        design: Design = make_token_design(scores, frame.tokens, options.tokens, order, candidates, certain)
    elif frame.groups is not None:
        design = make_group_design(
            frame.groups, options.wanted_groups, scores, size, order, candidates=candidates, certain=certain
        )
    else:
        design = SAMPLERS[options.sampler]().design(scores, order, size, frame, seed=options.seed)
    if frame.copies is None:
        return design
    assert isinstance(design, PivotalDesign), "records stand for copies where a sampler spreads over the clusters"
    return CopiesDesign(design, frame.copies)


def _check_room(frame: Frame, size: int) -> None:
    always, centres = len(frame.always), len(frame.centres)
    if always > size:
        raise UsageError(f"--always: {do_not_fit(always, size)}")
    both = len(frame.certain)
    if both > size:
        others = f" and {counted(both - centres, 'record')} of --always" if both > centres else ""
        given, budget = counted(centres, "centre"), counted(size, "record")
        raise UsageError(f"--keep-centers: {given}{others} do not fit into a budget of {budget}")
