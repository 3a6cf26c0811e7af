"""Embeddings to read again and again, block by block, wherever they lie.

Those of texts lie in the work folder. Vectors that exist already, in Parquet or in an array, are read where they are:
decoding them again costs less than a copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from tithe.embedders.base import RecordEncoder
from tithe.selection.arrays import Rows, Vectors
from tithe.selection.corpus.bad_records import BadRecords
from tithe.selection.corpus.batch import Batch
from tithe.selection.corpus.corpus import Corpus
from tithe.selection.embedding.encode import NOT_FINITE, VectorCheck, usable_values
from tithe.selection.embedding.vector_file import BLOCK, VectorFile
from tithe.selection.embedding.vector_shards import KEY_BYTES, Keys
from tithe.selection.embedding.vector_store import VectorStore
from tithe.selection.engine.distinct import distinct
from tithe.selection.engine.stages import Advance
from tithe.selection.engine.threads import ordered_map

Result = TypeVar("Result")


class Embeddings(Protocol):
    """The vectors of the usable records, in the corpus's order."""

    def blocks(self) -> Iterator[Vectors]:
        """All vectors, in blocks of at most BLOCK rows."""
        ...

    def take(self, positions: Rows) -> Vectors:
        """The vectors at `positions`, ascending; shape (len(positions), d)."""
        ...


class KeptEmbeddings:
    """Embeddings in a store of the work folder."""

    def __init__(self, store: VectorStore, rows: Rows) -> None:
        """`rows` says where in the store each record's vector lies, shape (n,); it may lie on disk."""
        self._store = store
        self._rows = rows

    def are_whole(self, advance: Advance) -> bool:
        """Whether all of them are there, undamaged; looks at each of them."""
        return self._store.holds(self._rows, advance)

    def text_keys(self) -> Keys:
        """A key of each record's text, shape (n, 16): equal where the texts are, whatever the store."""
        found = [np.empty((0, KEY_BYTES), np.uint8)]
        found += [
            self._store.keys(np.asarray(self._rows[start : start + BLOCK]))
            for start in range(0, len(self._rows), BLOCK)
        ]
        return np.concatenate(found)

    def blocks(self) -> Iterator[Vectors]:
        for start in range(0, len(self._rows), BLOCK):
            yield self._store.read(np.asarray(self._rows[start : start + BLOCK]))

    def take(self, positions: Rows) -> Vectors:
        return self._store.read(np.asarray(self._rows[positions]))


class FileEmbeddings:
    """Embeddings that were copied into a plain file."""

    def __init__(self, vectors_file: VectorFile) -> None:
        self._spool = vectors_file

    def blocks(self) -> Iterator[Vectors]:
        return self._spool.blocks()

    def take(self, positions: Rows) -> Vectors:
        return self._spool.read(positions)


class LookedUpEmbeddings:
    """Embeddings that are looked up anew at every pass."""

    def __init__(self, corpus: Corpus, encoder: RecordEncoder, bad: BadRecords, *, normalize: bool) -> None:
        self._corpus = corpus
        self._encoder = encoder
        self._check = VectorCheck(normalize=normalize)
        self.bad = bad
        """The records that turned out to be unusable."""

    def blocks(self) -> Iterator[Vectors]:
        for _, vectors in map(self._usable, self._corpus.batches(self._encoder.fields)):
            if len(vectors):
                yield vectors

    def take(self, positions: Rows) -> Vectors:
        return np.concatenate([vectors for _, vectors in self.usable(self.bad.overall_rows(positions))])

    def usable(self, rows: Rows) -> Iterator[tuple[Rows, Vectors]]:
        """Of the records at overall `rows`, ascending, those that are usable, with their vectors."""
        return map(self._usable, self._corpus.take(rows, self._encoder.fields))

    def _usable(self, batch: Batch) -> tuple[Rows, Vectors]:
        """The rows and the vectors of a batch's usable records; the others are reported."""
        found = usable_values(batch, self.bad, self._encoder.fields, self._encoder.lookup)
        if found is None:
            return np.empty(0, np.int64), np.empty((0, 0), np.float32)
        rows, vectors = found
        usable, vectors = self._check(vectors, len(rows))
        for row in rows[~usable].tolist():
            self.bad.report(row, self._corpus.place(row), NOT_FINITE)
        return rows[usable], vectors


def drawn(count: int, size: int, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """At most `size` different rows, ascending, and the place of each in a random order."""
    rows = distinct(count, min(size, count), rng)
    return rows, rng.permutation(len(rows))


def over_blocks(
    embeddings: Embeddings, function: Callable[..., Result], *columns: npt.NDArray[Any]
) -> Iterator[Result]:
    """What `function` makes of each block of the embeddings, and of the same records of columns, on all cores."""

    def blocks() -> Iterator[tuple[npt.NDArray[Any], ...]]:
        start = 0
        for block in embeddings.blocks():
            end = start + len(block)
            yield block, *(column[start:end] for column in columns)
            start = end

    # One thread of BLAS for each block: the number of threads must not change how it rounds.
    with threadpool_limits(1):
        yield from ordered_map(lambda block: function(*block), blocks())
