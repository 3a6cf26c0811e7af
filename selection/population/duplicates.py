"""`--dedup`: of records with the same text one stays, and stands for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tithe.selection.arrays import Copies, Positions
from tithe.selection.clustering.order import stable_order
from tithe.selection.engine.columns import new_column
from tithe.selection.engine.quantities import NOBODY, Derived, Quantity, blocks, total
from tithe.selection.population.candidates import Candidates


def copies_of(texts: Quantity, candidates: Candidates, preferred: Positions = NOBODY) -> Copies:
    """How many candidates have the text of each record that stays, itself among them; 0 for all others.

    The first of them stays; where some are `preferred`, the one that comes first among these. Holds 4 bytes a
    record, and as much again while it sorts.

    Args:
        texts: a number of each record's text, shape (n,): equal where the texts are; may lie on disk.
        candidates: the records that count.
        preferred: positions of candidates.
    """
    found = new_column(len(texts), np.uint32)
    wanted, first = np.unique(texts[preferred], return_index=True)
    for keys, stays, counts in _runs(texts, candidates):
        if len(wanted):
            at = np.minimum(np.searchsorted(wanted, keys), len(wanted) - 1)
            stays = np.where(wanted[at] == keys, preferred[first[at]], stays)
        found[stays] = counts
    return found


def _runs(texts: Quantity, candidates: Candidates) -> Iterator[tuple[Positions, Positions, Positions]]:
    """The numbers of the texts, ascending, with the first candidate that has each, and how many have it."""
    order = stable_order(texts)
    none = np.empty(0, np.int64)
    key, first, count = none, none, none  # of the text that the last block ended with
    for part in blocks(len(order)):
        members = order[part].astype(np.int64)
        members = members[candidates[members]]
        if len(members) == 0:
            continue
        keys = np.asarray(texts[members])
        starts = np.flatnonzero(np.diff(keys, prepend=keys[0] - 1))
        found, at = keys[starts], members[starts]
        counts = np.diff(starts, append=len(keys))
        if len(key) and key[0] == found[0]:
            at[0], counts[0] = first[0], counts[0] + count[0]
        elif len(key):
            yield key, first, count
        yield found[:-1], at[:-1], counts[:-1]
        key, first, count = found[-1:], at[-1:], counts[-1:]
    yield key, first, count


def those_that_stay(copies: Quantity) -> Candidates:
    """The candidates of which there are copies."""
    mask = Derived(lambda count: count > 0, copies)
    return Candidates(mask, int(total(mask)))


def times_copies(scores: Any, copies: Quantity) -> Any:
    """The scores, but in a record's those of all its copies: an array is changed in place."""
    for part in blocks(len(scores)):
        scores[part] *= copies[part]
    return scores
