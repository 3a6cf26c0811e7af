"""Embeddings to read again and again, block by block, wherever they lie.

Those of texts lie in the work folder. Vectors that exist already, in Parquet or in an array, are read where they are:
decoding them again costs less than a copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from tithe.embedders.base import RecordEncoder
from tithe.selection.bad_records import BadRecords
from tithe.selection.clustering import BLOCK
from tithe.selection.corpus import Batch, Corpus
from tithe.selection.distinct import distinct
from tithe.selection.encode import NOT_FINITE, VectorCheck, usable_values
from tithe.selection.parallel import ordered_map
from tithe.selection.stages import Advance
from tithe.selection.work.shards import KEY_BYTES, Keys
from tithe.selection.work.spool import Spool
from tithe.selection.work.vectors import VectorStore

Vectors = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Result = TypeVar("Result")
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

    def text_keys(self) -> Keys:
        """A key of each record's text, shape (n, 16): equal where the texts are, whatever the store."""
        found = [np.empty((0, KEY_BYTES), np.uint8)]
        found += [
            self._store.keys(np.asarray(self._rows[start : start + BLOCK]))
            for start in range(0, len(self._rows), BLOCK)
        ]
        return np.concatenate(found)

    def sample(self, size: int, rng: np.random.Generator, advance: Advance) -> Vectors:
        """See Embeddings.sample."""
        count = len(self._rows)
        rows, places = drawn(count, size, rng)
        chosen = np.empty_like(rows)
        chosen[places] = rows
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
        rows, places = drawn(self._spool.count, size, rng)
        out = np.empty((len(rows), self._spool.dimensions), np.float32)
        out[places] = self.take(rows)
        advance(self._spool.count)
        return out

    def blocks(self) -> Iterator[Vectors]:
        """See Embeddings.blocks."""
        return self._spool.blocks()

    def take(self, positions: Rows) -> Vectors:
        """See Embeddings.take."""
        return self._spool.read(positions)


class LookedUpEmbeddings:
    """Embeddings that are looked up anew at every pass."""

    def __init__(self, corpus: Corpus, encoder: RecordEncoder, bad: BadRecords, *, normalize: bool) -> None:
        self._corpus = corpus
        self._encoder = encoder
        self._check = VectorCheck(normalize=normalize)
        self._bad = bad

    def sample(self, size: int, rng: np.random.Generator, advance: Advance) -> Vectors:
        """See Embeddings.sample. Bad records, found on the way, fall out of it."""
        rows, places = drawn(self._corpus.row_count(), size, rng)
        out = np.empty((0, 0), np.float32)
        found = np.zeros(len(rows), bool)
        at = 0
        for usable, vectors in self.usable(rows):
            if not len(usable):
                continue
            if not out.size:
                out = np.empty((len(rows), vectors.shape[1]), np.float32)
            targets = places[np.searchsorted(rows, usable)]
            out[targets] = vectors
            found[targets] = True
            advance(int(usable[-1]) + 1 - at)
            at = int(usable[-1]) + 1
        return out if found.all() else out[found]

    def blocks(self) -> Iterator[Vectors]:
        """See Embeddings.blocks."""
        for _, vectors in map(self._usable, self._corpus.batches(self._encoder.fields)):
            if len(vectors):
                yield vectors

    def take(self, positions: Rows) -> Vectors:
        """See Embeddings.take."""
        return np.concatenate([vectors for _, vectors in self.usable(self._bad.overall_rows(positions))])

    def usable(self, rows: Rows) -> Iterator[tuple[Rows, Vectors]]:
        """Of the records at overall `rows`, ascending, those that are usable, with their vectors."""
        return map(self._usable, self._corpus.take(rows, self._encoder.fields))

    def _usable(self, batch: Batch) -> tuple[Rows, Vectors]:
        """The rows and the vectors of a batch's usable records; the others are reported."""
        found = usable_values(batch, self._bad, self._encoder.fields, self._encoder.lookup)
        if found is None:
            return np.empty(0, np.int64), np.empty((0, 0), np.float32)
        rows, vectors = found
        usable, vectors = self._check(vectors, len(rows))
        for row in rows[~usable].tolist():
            self._bad.report(row, self._corpus.place(row), NOT_FINITE)
        return rows[usable], vectors


def drawn(count: int, size: int, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """At most `size` different rows, ascending, and the place of each in a random order."""
    rows = distinct(count, min(size, count), rng)
    return rows, rng.permutation(len(rows))


def over_blocks(embeddings: Embeddings, function: Callable[[Vectors], Result]) -> Iterator[Result]:
    """What `function` makes of each block of the embeddings, in order, on all cores."""
    # One thread of BLAS for each block: the number of threads must not change how it rounds.
    with threadpool_limits(1):
        yield from ordered_map(function, embeddings.blocks())


def summed_over(embeddings: Embeddings, function: Callable[[Vectors], Floats]) -> Floats | None:
    """The sum of what `function` makes of each block; None where there are no vectors."""
    total: Floats | None = None
    for found in over_blocks(embeddings, function):
        total = found if total is None else total + found
    return total
