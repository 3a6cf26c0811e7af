"""The corpus as the process sees it that draws: records come from where the parts are."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise

import numpy as np

from tithe.selection.corpus import Batch, Corpus
from tithe.selection.corpus.corpus import Rows
from tithe.selection.engines.executor import Executor
from tithe.selection.engines.part_facts import PlacedPart
from tithe.selection.engines.part_work import taken


class GatheredCorpus(Corpus):
    """A corpus whose chosen records are read by whoever works on their part. Rows are known."""

    def __init__(self, corpus: Corpus, executor: Executor, places: Sequence[PlacedPart]) -> None:
        """`places` are all parts of the corpus, in order."""
        self.files, self.schema = corpus.files, corpus.schema
        self._first_row = 0
        rows = [0] * len(corpus.files)
        for place in places:
            rows[place.part.file_number] += place.known.rows
        self._rows = [*rows]
        self.executor = executor
        self._places = places

    def take(self, rows: Rows, fields: Collection[str] | None) -> Iterator[Batch]:
        """See Corpus.take."""
        names = None if fields is None else tuple(fields)
        for batches in self.executor.map(taken, ((place, rows[some], names) for place, some in self.in_parts(rows))):
            yield from batches

    def in_parts(self, rows: Rows) -> Iterator[tuple[PlacedPart, slice]]:
        """The parts that hold any of some overall rows, ascending, and which of these each holds."""
        edges = np.searchsorted(rows, [*(place.first_row for place in self._places), self.row_count()]).tolist()
        for place, (low, high) in zip(self._places, pairwise(edges), strict=True):
            if low < high:
                yield place, slice(low, high)
