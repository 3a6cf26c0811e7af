"""`--group-by`: which group each record is in."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from tithe.selection.arrays import Codes, Floats
from tithe.selection.corpus.batch import Batch
from tithe.selection.corpus.values import MISSING, WITHOUT_TEXT, field_texts
from tithe.selection.engine.quantities import Quantity, totals
from tithe.selection.errors import TitheError, UsageError, printable
from tithe.selection.options.shares import Wanted

MOST_GROUPS = 2**16 - 1


@dataclass(frozen=True)
class Groups:
    """The group of every record."""

    field: str
    codes: Quantity
    """Numbers of groups, shape (n,); 2 bytes a record."""
    values: tuple[str | None, ...]
    """What the records of each group hold in the field; None: they lack it."""
    wanted: Wanted = dataclasses.field(default_factory=Wanted)
    """How many records of each are asked for."""

    def sizes(self, quantity: Quantity | None = None) -> Floats:
        """The number of records of each group, or the sum of a quantity over them."""
        return totals(self.codes, len(self.values), quantity)

    def name(self, group: int) -> str:
        """For a message."""
        value = self.values[group]
        return f"(no {self.field})" if value is None else printable(value)


class GroupReader:
    """Numbers the values of a field in the order in which they come."""

    def __init__(self, name: str) -> None:
        self._field = name
        self._numbers: dict[str | None, int] = {}
        self._codes = [np.empty(0, np.uint16)]

    def read(self, batch: Batch) -> None:
        """Take the next records; raises TitheError where their values make no groups."""
        codes, texts = field_texts(batch, self._field)
        if (codes == WITHOUT_TEXT).any():
            place = batch.place(int(np.argmax(codes == WITHOUT_TEXT)))
            raise TitheError(f"{place}: --group-by {self._field}: the field holds a list, an object or bytes")
        missing = self._number(None) if (codes == MISSING).any() else 0
        numbers = [self._number(text) for text in texts]
        check_number(self._field, len(self._numbers))
        self._codes.append(np.array([*numbers, missing], np.uint16)[codes])  # MISSING, -1, is the last

    @property
    def codes(self) -> Codes:
        """The number of the value of each record that was read."""
        return np.concatenate(self._codes)

    @property
    def values(self) -> tuple[str | None, ...]:
        """By their numbers."""
        return tuple(self._numbers)

    def _number(self, text: str | None) -> int:
        return self._numbers.setdefault(text, len(self._numbers))


def check_number(field: str, values: int) -> None:
    """Raise TitheError for more values than there can be groups."""
    if values > MOST_GROUPS:
        raise TitheError(f"--group-by {field}: the field has more than {MOST_GROUPS:,} values")


def check_values(field: str, values: Collection[str | None]) -> None:
    """Raise UsageError where no record has a value."""
    if not set(values) - {None}:
        raise UsageError(f"--group-by {field}: no record has a text in {field!r}")
