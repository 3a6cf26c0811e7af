"""`column:NAME`: losses that lie in the corpus."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tithe.selection.corpus import Corpus
from tithe.selection.losses.base import checked_loss


class ColumnLoss:
    """Reads a numeric field of the records asked for, and of no others."""

    def __init__(self, field: str) -> None:
        self.field = field
        self.asked = 0

    def losses(self, corpus: Corpus, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """See LossSource.losses."""
        self.asked += len(rows)
        found: list[float] = []
        for batch in corpus.take(rows, (self.field,)):
            for i, record in enumerate(batch.records()):
                value = record.get(self.field) if isinstance(record, dict) else None
                found.append(checked_loss(value, f"the loss in {self.field!r}", batch.place(i)))
        return np.array(found, np.float64)

    def describe(self) -> dict[str, Any]:
        """See LossSource.describe."""
        return {"source": "column", "field": self.field}
