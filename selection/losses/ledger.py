"""Losses paid for once: a record that is asked about again is looked up."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tithe.selection.corpus.corpus import Corpus
from tithe.selection.losses.base import LossSource


class Ledger:
    """Asks a source for the losses of the records it has not asked about before."""

    def __init__(self, source: LossSource, corpus: Corpus) -> None:
        self._source = source
        self._corpus = corpus
        self._known: dict[int, float] = {}

    def losses(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Losses of the records at overall `rows`, in any order; shape (len(rows),). Raises as LossSource.losses."""
        new = np.array(sorted(set(rows.tolist()) - self._known.keys()), np.int64)
        if len(new):
            self._known.update(zip(new.tolist(), self._source.losses(self._corpus, new).tolist(), strict=True))
        return np.array([self._known[row] for row in rows.tolist()], np.float64)
