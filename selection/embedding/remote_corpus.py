"""The corpus as the process sees it that draws: records come from where the partitions are."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import pairwise

import numpy as np

from tithe.selection.arrays import Rows
from tithe.selection.corpus.batch import Batch
from tithe.selection.corpus.corpus import Corpus
from tithe.selection.corpus.partitions import Partition
from tithe.selection.embedding import partition_work
from tithe.selection.embedding.embed_corpus import CorpusEmbeddings
from tithe.selection.embedding.lookup import Embedded


class RemoteCorpus(Corpus):
    """A corpus whose chosen records are read by whoever works on their partition. Rows are known."""

    def __init__(self, corpus: Corpus, embeddings: CorpusEmbeddings) -> None:
        self.files, self.schema = corpus.files, corpus.schema
        self._first_row = 0
        self._rows = [*corpus.file_rows()]
        self.executor = embeddings.executor
        self._partitions = [
            (task.partition, known) for task, known in zip(embeddings.tasks, embeddings.known, strict=True)
        ]

    def take(self, rows: Rows, fields: Collection[str] | None) -> Iterator[Batch]:
        names = None if fields is None else tuple(fields)
        calls = ((*about, rows[some], names) for *about, some in self.in_partitions(rows))
        for batches in self.executor.map(partition_work.taken, calls):
            yield from batches

    def in_partitions(self, rows: Rows) -> Iterator[tuple[Partition, Embedded, int, slice]]:
        """The partitions that hold any of some overall rows, ascending: what is known of them, their first row, and
        which of the rows each holds."""
        firsts = np.cumsum([0, *(known.records for _, known in self._partitions)]).tolist()
        spans = pairwise(np.searchsorted(rows, firsts).tolist())
        for (partition, known), first, (low, high) in zip(self._partitions, firsts, spans, strict=False):
            if low < high:
                yield partition, known, first, slice(low, high)
