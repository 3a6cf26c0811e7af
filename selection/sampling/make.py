"""The design that the options name."""

from __future__ import annotations

from dataclasses import dataclass

from tithe.selection.engine.quantities import Quantity
from tithe.selection.errors import UsageError
from tithe.selection.population.conditions import do_not_fit
from tithe.selection.population.population import Population
from tithe.selection.sampling.copies import CopiesDesign
from tithe.selection.sampling.design import Design
from tithe.selection.sampling.grouped import make_group_design
from tithe.selection.sampling.pivotal import PivotalDesign
from tithe.selection.sampling.registry import SAMPLERS
from tithe.selection.sampling.tokens import make_token_design
from tithe.selection.sizes import counted


@dataclass(frozen=True)
class Drawing:
    """How records are drawn."""

    sampler: str = "pivotal"
    """A name of SAMPLERS."""
    seed: int = 0


def make_design(drawing: Drawing, population: Population, scores: Quantity, order: Quantity, size: int) -> Design:
    """The design for a sample of `size` records, or of all candidates where these are fewer.

    Args:
        drawing: by which sampler.
        population: who can be drawn, in which groups or with how many tokens.
        scores: how likely records are to be drawn, but for a factor, shape (n,); 0 for those that are no candidates.
            Where records stand for others, their scores count all of them.
        order: a permutation of range(n) along which records repel one another.
        size: number of records, or of draws; with a budget of tokens of no effect.

    Raises UsageError where what is certain does not fit into the budget, or groups cannot be as wanted.
    """
    candidates, certain = population.candidates, population.certain
    size = min(size, candidates.count)
    if population.tokens is None:
        _check_room(population, size)
    if population.tokens is not None:
        assert population.token_budget is not None
        design: Design = make_token_design(
            scores, population.tokens, population.token_budget, order, candidates, certain
        )
    elif population.groups is not None:
        design = make_group_design(population.groups, scores, size, order, candidates=candidates, certain=certain)
    else:
        design = SAMPLERS[drawing.sampler]().design(scores, order, size, population, seed=drawing.seed)
    if population.copies is None:
        return design
    assert isinstance(design, PivotalDesign), "records stand for copies where a sampler spreads over the clusters"
    return CopiesDesign(design, population.copies)


def _check_room(population: Population, size: int) -> None:
    always, centres = len(population.always), len(population.centres)
    if always > size:
        raise UsageError(f"--always: {do_not_fit(always, size)}")
    both = len(population.certain)
    if both > size:
        others = f" and {counted(both - centres, 'record')} of --always" if both > centres else ""
        given, budget = counted(centres, "centre"), counted(size, "record")
        raise UsageError(f"--keep-centers: {given}{others} do not fit into a budget of {budget}")
