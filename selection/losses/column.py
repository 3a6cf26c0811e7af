"""`column:NAME`: losses that lie in the corpus."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from tithe.selection.corpus import Corpus
from tithe.selection.errors import TitheError


class ColumnLoss:
    """Reads a numeric field of the records asked for, and of no others."""

    def __init__(self, field: str) -> None:
        self.field = field

    def losses(self, corpus: Corpus, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """See LossSource.losses."""
        found: list[float] = []
        for batch in corpus.take(rows, (self.field,)):
            for i, record in enumerate(batch.records()):
                value = record.get(self.field) if isinstance(record, dict) else None
                if isinstance(value, bool) or not isinstance(value, int | float):
                    raise TitheError(f"{batch.place(i)}: the loss in {self.field!r} is {value!r}, not a number")
                if not math.isfinite(value) or value < 0:
                    raise TitheError(
                        f"{batch.place(i)}: the loss in {self.field!r} is {value}; it must be finite and >= 0"
                    )
                found.append(float(value))
        return np.array(found, np.float64)
