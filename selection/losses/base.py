"""The protocol of a loss source."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from tithe.selection.corpus import Corpus


class LossSource(Protocol):
    """Knows, or finds out, the loss of single records. A query is a record asked for."""

    @property
    def field(self) -> str | None:
        """The top-level field of the corpus that is read, if any."""
        ...

    def losses(self, corpus: Corpus, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Losses of the records at `rows` (overall, ascending), shape (len(rows),), finite and not negative.

        Raises TitheError naming the record whose loss cannot be used.
        """
        ...
