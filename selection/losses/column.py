"""`column:NAME`: losses that lie in the corpus."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tithe.selection.corpus.corpus import Corpus
from tithe.selection.losses.base import Facts, LossRequest, LossSource, checked_loss


class ColumnLoss(LossSource):
    """Reads a numeric field of the records asked for, and of no others."""

    FACTS: ClassVar[Facts] = {"field": {"description": "column: the field.", "type": "string"}}

    def __init__(self, field: str) -> None:
        self._field = field

    @property
    def field(self) -> str:
        return self._field

    @classmethod
    def make(cls, argument: str, request: LossRequest) -> ColumnLoss:
        return cls(argument)

    def losses(self, corpus: Corpus, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        self.asked += len(rows)
        found: list[float] = []
        for batch in corpus.take(rows, (self._field,)):
            for i, record in enumerate(batch.records()):
                value = record.get(self._field) if isinstance(record, dict) else None
                found.append(checked_loss(value, f"the loss in {self._field!r}", batch.place(i)))
        return np.array(found, np.float64)

    def describe(self) -> dict[str, Any]:
        return {"source": "column", "field": self._field}
