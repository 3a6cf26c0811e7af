"""From records to embeddings that can be read again and again.

Texts go through the encoder once, into a store on disk. Vectors that lie ready in Parquet or in an array are read
where they lie: decoding them again costs less than a copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from tithe.embedders.base import FittedEncoder, MeasuredEncoder, RecordEncoder, TextEncoder
from tithe.embedders.errors import UnusableRecords
from tithe.selection.bad_records import BadRecords
from tithe.selection.corpus import BadRecord, BadText, Batch, Corpus, TextRule
from tithe.selection.errors import TitheError
from tithe.selection.parallel import ordered_map
from tithe.selection.reservoir import Reservoir
from tithe.selection.stages import Advance
from tithe.selection.store import EmbeddingStore

Vectors = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
Result = TypeVar("Result")

# Texts an encoder gets at once. Fixed, and filled across files, so that the same records in other files or formats
# meet the encoder in the same company: neural encoders round differently in another batch.
ENCODER_BATCH = 2048


class Embeddings(Protocol):
    """The vectors of the usable records, in the corpus's order."""

    def sample(self, size: int, rng: np.random.Generator, advance: Advance) -> Vectors:
        """Vectors of at most `size` different records, drawn uniformly, in random order; shape (m, d)."""
        ...

    def blocks(self) -> Iterator[Vectors]:
        """All vectors, in blocks of rows."""
        ...


class StoredEmbeddings:
    """Embeddings in a store."""

    def __init__(self, store: EmbeddingStore) -> None:
        self._store = store

    def sample(self, size: int, rng: np.random.Generator, advance: Advance) -> Vectors:
        """See Embeddings.sample."""
        return _draw(_numbered(self._store.blocks()), self._store.count, size, rng, advance)

    def blocks(self) -> Iterator[Vectors]:
        """See Embeddings.blocks."""
        return self._store.blocks()


def _draw(
    blocks: Iterable[tuple[Rows, Vectors]], count: int, size: int, rng: np.random.Generator, advance: Advance
) -> Vectors:
    """Vectors of rows drawn from range(count), in random order; rows that the stream lacks fall out."""
    chosen = rng.choice(count, min(size, count), replace=False)
    order = np.argsort(chosen)
    ascending = chosen[order]
    out = np.empty((0, 0), np.float32)
    found = np.zeros(len(chosen), bool)
    for rows, vectors in blocks:
        if not out.size:
            out = np.empty((len(chosen), vectors.shape[1]), np.float32)
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


class LookedUpEmbeddings:
    """Embeddings that are looked up anew at every pass."""

    def __init__(self, corpus: Corpus, encoder: RecordEncoder, bad: BadRecords, *, normalize: bool) -> None:
        self._corpus = corpus
        self._encoder = encoder
        self._check = VectorCheck(corpus, bad, normalize=normalize)
        self._bad = bad

    def sample(self, size: int, rng: np.random.Generator, advance: Advance) -> Vectors:
        """See Embeddings.sample. Bad records, found on the way, fall out of it."""
        return _draw(self._passes(), self._corpus.row_count(), size, rng, advance)

    def blocks(self) -> Iterator[Vectors]:
        """See Embeddings.blocks."""
        return (vectors for _, vectors in self._passes())

    def _passes(self) -> Iterator[tuple[Rows, Vectors]]:
        for batch in self._corpus.batches(self._encoder.fields):
            found = _usable_values(batch, self._bad, self._encoder.fields, self._encoder.lookup)
            if found is None:
                continue
            rows, vectors = self._check(*found)
            if len(rows):
                yield rows, vectors


def measure(encoder: MeasuredEncoder, corpus: Corpus, bad: BadRecords, advance: Advance) -> None:
    """Let the encoder see all usable records once."""
    for batch in corpus.batches(encoder.fields):
        _usable_values(batch, bad, encoder.fields, lambda rows, values: encoder.measure(values))
        advance(len(batch))


def _usable_values(
    batch: Batch, bad: BadRecords, fields: tuple[str, ...], function: Callable[[Rows, Mapping[str, Any]], Result]
) -> tuple[Rows, Result] | None:
    """What `function` makes of the fields of a batch's usable records, with their rows; None where there are none.

    Records of which it raises UnusableRecords are reported, and left out.
    """
    batch = _without(batch, batch.invalid(), bad)
    while len(batch):
        try:
            return batch.rows, function(batch.rows, {field: batch.column(field) for field in fields})
        except UnusableRecords as error:
            batch = _without(batch, error.reasons, bad)
    return None


def _without(batch: Batch, reasons: Mapping[int, str], bad: BadRecords) -> Batch:
    if not reasons:
        return batch
    for i, reason in reasons.items():
        bad.report(int(batch.rows[i]), batch.place(i), reason)
    return batch.select(np.setdiff1d(np.arange(len(batch)), np.fromiter(reasons, np.int64)))


class VectorCheck:
    """Checks what an encoder returns and brings it to unit length; the zero vector stays as it is."""

    def __init__(self, corpus: Corpus, bad: BadRecords, *, normalize: bool) -> None:
        self._corpus = corpus
        self._bad = bad
        self._normalize = normalize
        self._dimensions: int | None = None

    def __call__(self, rows: Rows, vectors: Vectors) -> tuple[Rows, Vectors]:
        """The usable rows and their vectors; reports the others as bad records."""
        vectors = np.asarray(vectors)
        expected = self._dimensions or (vectors.shape[1] if vectors.ndim == 2 else 0)
        if vectors.shape != (len(rows), expected) or expected == 0 or vectors.dtype.kind not in "fiu":
            raise TitheError(
                f"the encoder returned an array of {vectors.dtype} of shape {vectors.shape} for {len(rows)} records"
                + (f", and {expected} dimensions before" if self._dimensions else "")
            )
        self._dimensions = expected
        vectors = vectors.astype(np.float32, copy=False)
        squares = np.einsum("ij,ij->i", vectors, vectors)
        finite = np.isfinite(squares)
        if not finite.all():
            for row in rows[~finite]:
                self._bad.report(int(row), self._corpus.place(int(row)), "the embedding is not finite, or too large")
            rows, vectors, squares = rows[finite], vectors[finite], squares[finite]
        if self._normalize:
            norms = np.sqrt(squares)
            norms[norms == 0] = 1
            vectors = vectors / norms[:, None]
        return rows, vectors


def usable_texts(corpus: Corpus, rule: TextRule, bad: BadRecords, advance: Advance) -> Iterator[tuple[Rows, list[str]]]:
    """The rows and texts of the usable records, batch by batch."""
    for batch in corpus.batches(rule.fields):
        rows: list[int] = []
        texts: list[str] = []
        for i, record in enumerate(batch.records()):
            try:
                if isinstance(record, BadRecord):
                    raise BadText(record.reason)
                texts.append(rule.text(record))
                rows.append(int(batch.rows[i]))
            except BadText as error:
                bad.report(int(batch.rows[i]), batch.place(i), str(error))
        yield np.array(rows, np.int64), texts
        advance(len(batch))


def fit_encoder(
    encoder: FittedEncoder, corpus: Corpus, rule: TextRule, bad: BadRecords, *, seed: int, advance: Advance
) -> None:
    """Let the encoder learn from a uniform sample of the corpus's texts."""
    sample: Reservoir[str] = Reservoir(encoder.fit_records, np.random.default_rng(seed))
    for _, texts in usable_texts(corpus, rule, bad, advance):
        sample.extend([text[: encoder.fit_characters] for text in texts])
    encoder.fit(sample.items, seed=seed)


def embed_texts(
    encoder: TextEncoder,
    corpus: Corpus,
    rule: TextRule,
    bad: BadRecords,
    store: EmbeddingStore,
    *,
    normalize: bool,
    advance: Advance,
) -> npt.NDArray[np.uint32]:
    """Embed every record's text into the store; reading goes on while the encoder works.

    Returns the characters of each text, shape (n,).
    """
    check = VectorCheck(corpus, bad, normalize=normalize)

    lengths = [np.empty(0, np.uint32)]

    def encode(batch: tuple[Rows, list[str]]) -> tuple[npt.NDArray[np.uint32], Vectors]:
        rows, texts = batch
        usable, vectors = check(rows, encoder.encode(texts))
        characters = np.fromiter(map(len, texts), np.uint32, len(texts))
        return characters[np.isin(rows, usable)], vectors

    batches = _regrouped(usable_texts(corpus, rule, bad, lambda count: None), ENCODER_BATCH)
    with store:
        # One thread: encoders use all cores by themselves, and need not be safe to call from several threads.
        for characters, vectors in ordered_map(encode, batches, threads=1):
            if len(characters):
                store.append(vectors)
                lengths.append(characters)
            advance(len(characters))
    return np.concatenate(lengths)


def store_looked_up(embeddings: LookedUpEmbeddings, store: EmbeddingStore, advance: Advance) -> None:
    """Copy looked-up vectors into the store: for corpora in which looking them up again means parsing again."""
    with store:
        for vectors in embeddings.blocks():
            store.append(vectors)
            advance(len(vectors))


def _regrouped(batches: Iterable[tuple[Rows, list[str]]], size: int) -> Iterator[tuple[Rows, list[str]]]:
    """The same stream in batches of exactly `size`, the last one shorter."""
    rows = np.empty(0, np.int64)
    texts: list[str] = []
    for more_rows, more_texts in batches:
        rows = np.concatenate([rows, more_rows])
        texts = texts + more_texts
        while len(texts) >= size:
            yield rows[:size], texts[:size]
            rows, texts = rows[size:], texts[size:]
    if texts:
        yield rows, texts
