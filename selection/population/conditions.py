"""`--always` and `--never`: records that are taken with certainty, and records that are left out, by what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tithe.selection.arrays import Positions
from tithe.selection.corpus.batch import Batch
from tithe.selection.corpus.values import field_texts
from tithe.selection.engine.quantities import Derived, Quantity, positions_where, total
from tithe.selection.errors import UsageError, printable
from tithe.selection.options.conditions import field_and_value
from tithe.selection.population.candidates import Candidates
from tithe.selection.sizes import counted

Flags = npt.NDArray[np.uint8]

ALWAYS, NEVER = 1, 2

# Values of a field that an error message names.
_NAMED = 5


@dataclass
class Condition:
    """A field, by its name, that must hold a value; and what was found of it so far."""

    option: str
    name: str
    value: str
    flag: int
    matches: int = 0
    seen: list[str] = field(default_factory=list)
    """The first few other values."""

    def matching(self, batch: Batch) -> npt.NDArray[np.bool_]:
        """Which records of a batch meet it."""
        codes, texts = field_texts(batch, self.name)
        if len(self.seen) < _NAMED:
            self.seen = list(dict.fromkeys([*self.seen, *texts[:_NAMED]]))[:_NAMED]
        if self.value not in texts:
            return np.zeros(len(batch), bool)
        found = codes == texts.index(self.value)
        self.matches += int(np.count_nonzero(found))
        return found

    def join(self, later: Condition) -> None:
        """Take over what the same condition found in records that come later."""
        self.matches += later.matches
        self.seen = list(dict.fromkeys([*self.seen, *later.seen]))[:_NAMED]

    def check(self) -> None:
        """Raise UsageError where no record met it."""
        if self.matches == 0:
            others = ", ".join(printable(repr(value[:40])) for value in self.seen)
            there = f"{self.name!r} holds {others} ..." if others else f"no record has a text in {self.name!r}"
            raise UsageError(f"{self}: no record has this value; {there}")

    def __str__(self) -> str:
        return f"{self.option} {self.name}={self.value}"


def parse_conditions(always: Sequence[str], never: Sequence[str]) -> list[Condition]:
    """The conditions FIELD=VALUE of both options; raises UsageError where one is no such thing."""
    found = []
    for option, flag, given in (("--always", ALWAYS, always), ("--never", NEVER, never)):
        for text in given:
            found.append(Condition(option, *field_and_value(option, text), flag))
    return found


def flags(conditions: Sequence[Condition], batch: Batch) -> Flags:
    """What the conditions say of each record of a batch, ALWAYS and NEVER added up; shape (len(batch),)."""
    found = np.zeros(len(batch), np.uint8)
    for condition in conditions:
        found[condition.matching(batch)] |= condition.flag
    return found


def but_never(candidates: Candidates, marked: Quantity) -> Candidates:
    """The candidates, but for those under NEVER."""
    mask = Derived(lambda candidate, flag: candidate & (flag & NEVER == 0), candidates.mask, marked)
    return Candidates(mask, int(total(mask)))


def do_not_fit(count: int, most: int) -> str:
    """That `count` records are more than a budget of `most`."""
    return f"{counted(count, 'record does', 'records do')} not fit into a budget of {counted(most, 'record')}"


def always_among(candidates: Candidates, marked: Quantity, most: int) -> Positions:
    """The positions of the candidates under ALWAYS, ascending; raises UsageError where these are more than `most`."""

    def certain(candidate: npt.NDArray[np.bool_], flag: Flags) -> npt.NDArray[np.bool_]:
        return candidate & (flag & ALWAYS != 0)

    count = int(total(Derived(certain, candidates.mask, marked)))
    if count > most:
        raise UsageError(f"--always: {do_not_fit(count, most)}")
    return positions_where(certain, candidates.mask, marked)
