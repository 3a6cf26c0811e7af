"""`--group-by`: how many records of each group are drawn."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from tithe.selection.arrays import Counts, Floats
from tithe.selection.errors import UsageError, printable
from tithe.selection.options.shares import OTHER
from tithe.selection.population.groups import Groups
from tithe.selection.sizes import counted

# A group of less than this part of the scores is taken to have none.
_NEARLY_NOTHING = 1e-12

# Groups that an error message names.
_NAMED = 5


def sizes_of_groups(groups: Groups, budget: int, scores: Floats, available: Counts, certain: Counts) -> Counts:
    """How many records of each group are drawn, `budget` in all; shape (G,), as all others.

    In proportion to the groups' scores, or as their shares say; at least one of each that has any, so that the weights
    stand for all of them, and no fewer than are certain. Raises UsageError where that cannot be.

    Args:
        groups: what they are called, and what is asked for of them.
        budget: at most the records available.
        scores: sums over the groups.
        available: candidates in each group.
        certain: those of them that are taken in any case.
    """
    who, wanted = f"--group-by {groups.field}", groups.wanted
    there = available > 0
    low, high = np.maximum(certain, there), available
    if wanted.least is not None:
        _refuse(groups, f"--group-min {wanted.least:,}", there & (available < wanted.least), available, "records")
        low = np.maximum(low, np.where(there, wanted.least, 0))
    if wanted.most is not None:
        _refuse(groups, f"--group-max {wanted.most:,}", certain > wanted.most, certain, "records that are certain")
        high = np.minimum(high, wanted.most)
    if not wanted.shares:
        return allocation(budget, scores, low, high, who=who)

    named, rest = _by_shares(groups, wanted.shares, there)
    shares = np.array([wanted.shares[value] for value in (*named.values(), *([OTHER] if len(rest) else []))])
    parts = allocation(budget, shares, np.zeros(len(shares), np.int64), np.full(len(shares), budget), who=who)
    counts = np.zeros(len(available), np.int64)
    for (group, value), count in zip(named.items(), parts.tolist(), strict=False):
        this = f"--group-share {value}={wanted.shares[value]:g}: {count:,} of {counted(budget, 'record')}, but"
        if count > high[group]:
            raise UsageError(f"{this} there are {high[group]:,}")
        if count < low[group]:
            least = f"{certain[group]:,} are certain" if certain[group] else "the weights need one of each group"
            raise UsageError(f"{this} {least}")
        counts[group] = count
    if len(rest):
        who = f"--group-share {OTHER}={wanted.shares[OTHER]:g}"
        counts[rest] = allocation(int(parts[-1]), scores[rest], low[rest], high[rest], who=who)
    return counts


def allocation(budget: int, totals: Floats, low: Counts, high: Counts, *, who: str = "--group-by") -> Counts:
    """Integers n_g with Σ n_g = `budget`, in proportion to `totals` as far as low_g <= n_g <= high_g lets them.

    n_g is λ·total_g, clipped to its bounds, with the λ that makes the sum right, rounded by largest remainders; the
    earlier group first among equals. Groups without a total get what the others leave, in proportion to high_g.
    Raises UsageError where the bounds leave no room; `who` begins its message.
    """
    least, most = int(low.sum()), int(high.sum())
    if least > budget:
        needy = counted(int(np.count_nonzero(low)), "group needs", "groups need")
        raise UsageError(f"{who}: {needy} {counted(least, 'record')} at least, but there are {budget:,} to draw")
    if most < budget:
        able = counted(int(np.count_nonzero(high)), "group")
        raise UsageError(f"{who}: {able} can give {counted(most, 'record')} at most, but there are {budget:,} to draw")
    ideal = _filled(budget, totals, low, high)
    counts = np.clip(np.floor(ideal + 1e-9).astype(np.int64), low, high)
    while (left := budget - int(counts.sum())) > 0:
        growing = np.flatnonzero(counts < high)
        counts[growing[np.argsort(counts[growing] - ideal[growing], kind="stable")[:left]]] += 1
    return counts


def _filled(budget: int, totals: Floats, low: Counts, high: Counts) -> Floats:
    """λ·totals, clipped, with sum `budget`; Σ low <= budget <= Σ high."""
    positive = totals > _NEARLY_NOTHING * totals.sum()
    share = np.where(positive, totals, 0.0) / (totals.sum() or 1.0)

    def at(level: float) -> Floats:
        return np.where(positive, np.clip(level * share, low, high), low)

    bends = np.unique(np.concatenate([low[positive] / share[positive], high[positive] / share[positive]]))
    before, after = -1, len(bends)  # at(bends[before]) is too little, at(bends[after]) is enough
    while after - before > 1:
        middle = (before + after) // 2
        before, after = (before, middle) if at(bends[middle]).sum() >= budget else (middle, after)
    if after == len(bends):
        found, left = np.where(positive, high, low).astype(np.float64), np.flatnonzero(~positive)
        rest = budget - int(found[positive].sum())
        if rest > low[left].sum():
            found[left] = _filled(rest, high[left].astype(np.float64), low[left], high[left])
        return found
    level = bends[after]
    free = positive & (low < level * share) & (level * share <= high * (1 + 1e-12)) & (low < high)
    if before >= 0:
        free &= high > bends[before] * share
    if free.any():
        level = (budget - at(level)[~free].sum()) / share[free].sum()
    return at(float(level))


def _by_shares(
    groups: Groups, shares: Mapping[str, float], there: npt.NDArray[np.bool_]
) -> tuple[dict[int, str], Counts]:
    """The groups that have a share of their own, with its name, and all others."""
    numbers = {value: g for g, value in enumerate(groups.values) if value is not None and there[g]}
    named: dict[int, str] = {}
    for value in shares:
        if value == OTHER:
            continue
        if value not in numbers:
            some = ", ".join(repr(printable(name[:40])) for name in list(numbers)[:_NAMED])
            raise UsageError(f"--group-share {value}: no record has this value; {groups.field!r} holds {some} ...")
        named[numbers[value]] = value
    rest = np.setdiff1d(np.flatnonzero(there), list(named))
    if len(rest) and OTHER not in shares:
        raise UsageError(
            f"--group-share: {counted(len(rest), 'group has', 'groups have')} no share, {groups.name(int(rest[0]))!r} "
            f"among them; {OTHER}=SHARE stands for them, --never leaves them out"
        )
    if OTHER in shares and not len(rest):
        raise UsageError(f"--group-share {OTHER}: no group is left, {len(named):,} have shares of their own")
    return named, rest


def _refuse(groups: Groups, option: str, wrong: npt.NDArray[np.bool_], counts: Counts, what: str) -> None:
    if wrong.any():
        g = int(np.argmax(wrong))
        more = int(np.count_nonzero(wrong)) - 1
        others = f", and {counted(more, 'other group')} as well" if more else ""
        raise UsageError(f"{option}: {groups.name(g)!r} has {counts[g]:,} {what}{others}")
