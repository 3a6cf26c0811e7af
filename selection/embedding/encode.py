"""Letting the encoder see the corpus, and keeping what it makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from tithe.embedders.base import FittedEncoder, MeasuredEncoder, TextEncoder, in_float32
from tithe.embedders.errors import UnusableRecords
from tithe.selection.arrays import Rows, Vectors
from tithe.selection.corpus.bad_records import BadRecords
from tithe.selection.corpus.batch import Batch
from tithe.selection.corpus.corpus import Corpus
from tithe.selection.corpus.text import TextRule, is_empty
from tithe.selection.corpus.usable import usable_texts
from tithe.selection.embedding.vector_shards import Keys
from tithe.selection.embedding.vector_store import VectorStore, text_keys
from tithe.selection.engine.reservoir import Reservoir
from tithe.selection.engine.stages import Advance
from tithe.selection.engine.threads import ordered_map
from tithe.selection.errors import TitheError
from tithe.selection.sizes import counted
from tithe.selection.storage.writing import writing

Result = TypeVar("Result")

# Records whose texts an encoder gets at once: what an interrupted run loses at most. Fixed, and filled across files, so
# that the same records in other files or formats meet the encoder in the same company: neural encoders round
# differently in another batch.
ENCODER_BATCH = 1024

# Characters of them that are held at once, about: fewer records may be as large as is allowed.
_MOST_CHARACTERS = 64 << 20

# Squared norms between which float32 has room for what is computed of vectors: their sum over a corpus, for one.
_SMALLEST, _LARGEST = 1e-24, 1e24

NOT_FINITE = "the embedding is not finite, or too large"


def measure(encoder: MeasuredEncoder, corpus: Corpus, bad: BadRecords, advance: Advance) -> None:
    """Let the encoder see all usable records once."""
    for batch in corpus.batches(encoder.fields):
        usable_values(batch, bad, encoder.fields, lambda rows, values: encoder.measure(values))
        advance(len(batch))


def usable_values(
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

    def __init__(self, *, normalize: bool, dimensions: int | None = None) -> None:
        """`dimensions` are those of vectors that the encoder returned before."""
        self._normalize = normalize
        self._dimensions = dimensions

    def __call__(self, vectors: Vectors, count: int) -> tuple[npt.NDArray[np.bool_], Vectors]:
        """Which of the `count` vectors are usable, and those."""
        vectors = np.asarray(vectors)
        expected = self._dimensions or (vectors.shape[1] if vectors.ndim == 2 else 0)
        if vectors.shape != (count, expected) or expected == 0 or vectors.dtype.kind not in "fiu":
            raise TitheError(
                f"the encoder returned an array of {vectors.dtype} of shape {vectors.shape} "
                f"for {counted(count, 'record')}"
                + (f", and {counted(expected, 'dimension')} before" if self._dimensions else "")
            )
        self._dimensions = expected
        vectors = in_float32(vectors)
        squares = _squared_norms(vectors)
        if self._normalize and len(far := np.flatnonzero(~((squares > _SMALLEST) & (squares < _LARGEST)))):
            vectors = vectors.copy()
            vectors[far] = _of_largest_number_one(vectors[far])
            squares[far] = _squared_norms(vectors[far])
        usable = squares <= _LARGEST
        if not usable.all():
            vectors, squares = vectors[usable], squares[usable]
        if self._normalize:
            norms: Vectors = np.sqrt(squares)
            norms[norms == 0] = 1
            vectors = vectors / norms[:, None]
        return usable, vectors


def _squared_norms(vectors: Vectors) -> Vectors:
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is no usable vector
        return np.einsum("ij,ij->i", vectors, vectors)


def _of_largest_number_one(vectors: Vectors) -> Vectors:
    """The same directions; what is not finite becomes NaN, and the zero vector stays as it is."""
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    largest[largest == 0] = 1
    with np.errstate(invalid="ignore"):
        return vectors / largest


def fit_encoder(
    encoder: FittedEncoder, corpus: Corpus, rule: TextRule, bad: BadRecords, *, seed: int, advance: Advance
) -> None:
    """Let the encoder learn from a uniform sample of the corpus's texts."""
    sample: Reservoir[str] = Reservoir(encoder.fit_records, np.random.default_rng(seed))
    for _, texts in usable_texts(corpus, rule, bad, advance):
        sample.extend([text[: encoder.fit_characters] for text in texts])
    encoder.fit(sample.items, seed=seed)


@dataclass(frozen=True)
class _Part:
    """A run of records on its way through the encoder."""

    rows: Rows
    texts: list[str]
    keys: Keys
    missing: list[int]
    """Which of them are to be encoded: the store has none of their texts, and each text is there once."""


def embed_texts(
    encoder: TextEncoder,
    corpus: Corpus,
    rule: TextRule,
    bad: BadRecords,
    store: VectorStore,
    *,
    normalize: bool,
    keep: Callable[[Rows, npt.NDArray[np.uint32], int], object],
    advance: Advance,
) -> int:
    """Embed the texts that the store does not have; reading goes on while the encoder works.

    `keep` is told, run by run, where in the store the vectors of the usable records lie, how many characters their
    texts have, and how many of these texts are empty. Returns how many texts were given to the encoder.
    """
    check = VectorCheck(normalize=normalize, dimensions=store.dimensions or None)
    under_way: set[bytes] = set()

    def parts() -> Iterator[_Part]:
        for rows, texts in _regrouped(usable_texts(corpus, rule, bad, lambda count: None)):
            keys = text_keys(texts)
            yield _Part(rows, texts, keys, _claimed(keys, store.find(keys) < 0, under_way))

    def encode(part: _Part) -> _Part:
        if part.missing:
            usable, vectors = check(encoder.encode([part.texts[i] for i in part.missing]), len(part.missing))
            if len(vectors):
                with writing(store.folder):
                    store.append(part.keys[part.missing][usable], vectors)
        return part

    encoded = 0
    # One thread: encoders use all cores by themselves, and need not be safe to call from several threads. It writes as
    # well, so that no second part is begun before the first is kept.
    for part in ordered_map(encode, parts(), threads=1):
        under_way.difference_update(map(bytes, part.keys[part.missing]))
        encoded += len(part.missing)
        at = store.find(part.keys)
        there = at >= 0
        for row in part.rows[~there].tolist():
            bad.report(row, corpus.place(row), NOT_FINITE)
        lengths = np.fromiter(map(len, part.texts), np.uint32, len(part.texts))
        keep(at[there], lengths[there], sum(is_empty(part.texts[i]) for i in np.flatnonzero(there).tolist()))
        advance(len(part.rows))
    return encoded


def _claimed(keys: Keys, absent: npt.NDArray[np.bool_], under_way: set[bytes]) -> list[int]:
    """The first of each key that is absent and not under way; it is, from now on."""
    claimed = []
    for i in np.flatnonzero(absent).tolist():
        key = bytes(keys[i])
        if key not in under_way:
            under_way.add(key)
            claimed.append(i)
    return claimed


def _regrouped(batches: Iterable[tuple[Rows, list[str]]]) -> Iterator[tuple[Rows, list[str]]]:
    """The same stream in batches of ENCODER_BATCH records, of fewer where their texts are very long together."""
    rows: list[int] = []
    texts: list[str] = []
    characters = 0
    for more_rows, more_texts in batches:
        for row, text in zip(more_rows.tolist(), more_texts, strict=True):
            rows.append(row)
            texts.append(text)
            characters += len(text)
            if len(texts) == ENCODER_BATCH or characters >= _MOST_CHARACTERS:
                yield np.array(rows, np.int64), texts
                rows, texts, characters = [], [], 0
    if texts:
        yield np.array(rows, np.int64), texts
