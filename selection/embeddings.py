"""Embeddings to read again and again, block by block, wherever they lie.

Those of texts lie in the work folder. Vectors that exist already, in Parquet or in an array, are read where they are:
decoding them again costs less than a copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tithe.embedders.base import RecordEncoder
from tithe.selection.bad_records import BadRecords
from tithe.selection.clustering import BLOCK
from tithe.selection.corpus import Corpus
from tithe.selection.distinct import distinct
from tithe.selection.encode import NOT_FINITE, VectorCheck, usable_values
from tithe.selection.stages import Advance
from tithe.selection.work.spool import Spool
from tithe.selection.work.vectors import VectorStore

Vectors = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


class Embeddings(Protocol):
    """The vectors of the usable records, in the corpus's order."""

    def sample(self, size: int, rng: np.random.Generator, advance: Advance) -> Vectors:
        """Vectors of at most `size` different records, drawn uniformly, in random order; shape (m, d).

        `advance` is told of the records of the corpus as the work goes on.
        """
        ...

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

    @property
    def texts(self) -> Rows:
        """A number of each record's text, shape (n,), on disk: equal where the texts are."""
        return self._rows

    def sample(self, size: int, rng: np.random.Generator, advance: Advance) -> Vectors:
        """See Embeddings.sample."""
        count = len(self._rows)
        chosen = rng.permutation(distinct(count, min(size, count), rng))
        out = np.empty((len(chosen), self._store.dimensions), np.float32)
        for start in range(0, len(chosen), BLOCK):
            part = chosen[start : start + BLOCK]
            out[start : start + len(part)] = self._store.read(self._rows[part])
            advance(len(part) * count // len(chosen))
        return out

    def blocks(self) -> Iterator[Vectors]:
        """See Embeddings.blocks."""
        for start in range(0, len(self._rows), BLOCK):
            yield self._store.read(np.asarray(self._rows[start : start + BLOCK]))

    def take(self, positions: Rows) -> Vectors:
        """See Embeddings.take."""
        return self._store.read(np.asarray(self._rows[positions]))


class SpooledEmbeddings:
    """Embeddings that were copied into a plain file."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    def sample(self, size: int, rng: np.random.Generator, advance: Advance) -> Vectors:
        """See Embeddings.sample."""
        return _draw(_numbered(self._spool.blocks()), self._spool.count, size, rng, advance)

    def blocks(self) -> Iterator[Vectors]:
        """See Embeddings.blocks."""
        return self._spool.blocks()

    def take(self, positions: Rows) -> Vectors:
        """See Embeddings.take."""
        return _taken(self.blocks(), positions)


class LookedUpEmbeddings:
    """Embeddings that are looked up anew at every pass."""

    def __init__(self, corpus: Corpus, encoder: RecordEncoder, bad: BadRecords, *, normalize: bool) -> None:
        self._corpus = corpus
        self._encoder = encoder
        self._check = VectorCheck(normalize=normalize)
        self._bad = bad

    def sample(self, size: int, rng: np.random.Generator, advance: Advance) -> Vectors:
        """See Embeddings.sample. Bad records, found on the way, fall out of it."""
        return _draw(self._passes(), self._corpus.row_count(), size, rng, advance)

    def blocks(self) -> Iterator[Vectors]:
        """See Embeddings.blocks."""
        return (vectors for _, vectors in self._passes())

    def take(self, positions: Rows) -> Vectors:
        """See Embeddings.take."""
        return _taken(self.blocks(), positions)

    def _passes(self) -> Iterator[tuple[Rows, Vectors]]:
        for batch in self._corpus.batches(self._encoder.fields):
            found = usable_values(batch, self._bad, self._encoder.fields, self._encoder.lookup)
            if found is None:
                continue
            rows, vectors = found
            usable, vectors = self._check(vectors, len(rows))
            for row in rows[~usable].tolist():
                self._bad.report(row, self._corpus.place(row), NOT_FINITE)
            if len(vectors):
                yield rows[usable], vectors


def _draw(
    blocks: Iterable[tuple[Rows, Vectors]], count: int, size: int, rng: np.random.Generator, advance: Advance
) -> Vectors:
    """Vectors of rows drawn from range(count), in random order; rows that the stream lacks fall out."""
    ascending = distinct(count, min(size, count), rng)
    order = rng.permutation(len(ascending))
    out = np.empty((0, 0), np.float32)
    found = np.zeros(len(ascending), bool)
    for rows, vectors in blocks:
        if not out.size:
            out = np.empty((len(ascending), vectors.shape[1]), np.float32)
        first, last = np.searchsorted(ascending, [rows[0], rows[-1] + 1])
        at = np.searchsorted(rows, ascending[first:last])
        here = rows[at] == ascending[first:last]
        targets = order[first:last][here]
        out[targets] = vectors[at[here]]
        found[targets] = True
        advance(len(rows))
    return out if found.all() else out[found]


def _numbered(blocks: Iterable[Vectors]) -> Iterator[tuple[Rows, Vectors]]:
    start = 0
    for block in blocks:
        yield np.arange(start, start + len(block)), block
        start += len(block)


def _taken(blocks: Iterable[Vectors], positions: Rows) -> Vectors:
    found = []
    start = 0
    for block in blocks:
        first, last = np.searchsorted(positions, [start, start + len(block)])
        found.append(block[positions[first:last] - start])
        start += len(block)
    return np.concatenate(found)
