"""The protocol of a loss source, and what a loss may be."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tithe.selection.corpus import Corpus
from tithe.selection.errors import TitheError


class LossSource(Protocol):
    """Knows, or finds out, the loss of single records.

    `field` is the top-level field of the corpus that is read, if any; `asked` counts the losses asked for so far.
    """

    @property
    def field(self) -> str | None: ...

    @property
    def asked(self) -> int: ...

    def losses(self, corpus: Corpus, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Losses of the records at `rows` (overall, ascending), shape (len(rows),), finite and not negative.

        Raises TitheError naming the record whose loss cannot be used.
        """
        ...


def checked_loss(value: Any, field: str, place: str) -> float:
    """A loss as a number; raises TitheError naming the place where it is none, not finite or negative."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TitheError(f"{place}: the loss in {field!r} is {value!r}, not a number")
    try:
        loss = float(value)
    except OverflowError:
        loss = math.inf
    if not math.isfinite(loss) or loss < 0:
        raise TitheError(f"{place}: the loss in {field!r} is {value}; it must be finite and not negative")
    return loss
