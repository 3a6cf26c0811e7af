"""The default encoder: TF-IDF of hashed n-grams, reduced by a truncated SVD.

Needs no weights and no download, and knows no language: all it knows, it learns from a sample of the corpus.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from tithe.embedders import ngrams
from tithe.embedders.base import Reads, Request, Vectors
from tithe.embedders.ngrams import SparseRows
from tithe.embedders.svd import right_singular_vectors

FIT_RECORDS = 1 << 14
"""How many records of the corpus `fit` is best shown; more do not make better vectors."""

FIT_CHARACTERS = 1 << 13
"""What `fit` reads of a text."""

VERSION = 1
"""Part of the identity: goes up when the same fit would give other vectors."""

_FIT_CHARACTERS_IN_ALL = 1 << 24  # bounds the time and the memory that `fit` takes

# The commonest features get a column each. With twice as many, clusters agreed less with the tasks of T0 (NMI
# 0.80 instead of 0.82), and the fit took twice as long.
_COLUMNS = 1 << 14
_MIN_RECORDS = 2

# All other features share these columns, whose vectors are random and short. To a record of common features
# they add next to nothing; one that has few or none (one of the ten Georgian texts of a corpus) still gets a
# vector, near to those of the records with which it shares words.
_SHARED_COLUMNS = 1 << 12
_SHARED_LENGTH = 0.05

# How fast a repeated feature stops counting (BM25's k1). Near 0 means presence alone.
_SATURATION = 0.5

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class _Model:
    columns: npt.NDArray[np.uint16]  # (ngrams.BUCKETS,): the column of each bucket
    weights: npt.NDArray[np.float32]  # (n_columns,): inverse document frequency, squared
    components: npt.NDArray[np.float32]  # (n_columns, dimensions)


class LexicalEncoder:
    """Hashed n-gram TF-IDF reduced by a truncated SVD, fitted on a sample of the corpus.

    A vector has `dimensions` entries, whatever the sample; its length is at most about 1, and 0 only for a
    text without any feature (empty, or white space alone). Of a text of more than 262,144 characters the rest
    is not read. `threads` (default: OMP_NUM_THREADS, or one for each CPU this process may use) changes no bit
    of the vectors, nor does the number of threads of BLAS.
    """

    reads: ClassVar[Reads] = None

    def __init__(self, *, dimensions: int = 256, threads: int | None = None) -> None:
        self._dimensions = dimensions
        self._threads = threads or _cpus()
        self._model: _Model | None = None

    @property
    def fit_records(self) -> int:
        return FIT_RECORDS

    @property
    def fit_characters(self) -> int:
        return FIT_CHARACTERS

    def recipe(self) -> Mapping[str, Any]:
        return {"name": "lexical", "version": VERSION, "dimensions": self._dimensions}

    @classmethod
    def make(cls, request: Request) -> LexicalEncoder:
        request.refuse("lexical")
        return cls()

    def identity(self) -> Mapping[str, Any]:
        """Name, options and a SHA-256 of what was fitted. Raises RuntimeError before `fit`."""
        model = self._fitted()
        digest = hashlib.sha256()
        for array in (model.columns, model.weights, model.components):
            digest.update(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
        return {**self.recipe(), "sha256": digest.hexdigest()}

    def fit(self, texts: Sequence[str], *, seed: int) -> None:
        """Learn which features are common, what they weigh, and their main directions.

        `texts` is best a random sample of FIT_RECORDS records. Of each, FIT_CHARACTERS are read, and fewer of
        the longest ones where all together would pass 16 million.
        """
        texts = [text[:FIT_CHARACTERS] for text in texts]
        longest = _cut([len(text) for text in texts], _FIT_CHARACTERS_IN_ALL)
        batches = [batch for _, batch in ngrams.batches([text[:longest] for text in texts])]

        records = np.zeros(ngrams.BUCKETS, np.int64)
        for present in self._map(_buckets_present, batches):
            records += np.bincount(present, minlength=ngrams.BUCKETS)
        columns, weights = _vocabulary(records, len(texts))
        n_common = weights.size - _SHARED_COLUMNS

        rows = self._map(lambda batch: _weighted(batch, columns, weights)[:, :n_common], batches)
        x = sp.vstack([sp.csr_array((0, n_common), dtype=np.float32), *rows], format="csr")
        common = right_singular_vectors(x, self._dimensions, seed=seed, threads=self._threads)
        shared = np.random.default_rng(seed).standard_normal((_SHARED_COLUMNS, self._dimensions), np.float32)
        shared *= np.float32(_SHARED_LENGTH / np.sqrt(self._dimensions))
        self._model = _Model(columns, weights, np.concatenate([common, shared]))

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return an array of shape (len(texts), dimensions). Raises RuntimeError before `fit`."""
        model = self._fitted()
        vectors = np.empty((len(texts), self._dimensions), np.float32)

        def encode(batch: tuple[int, Sequence[str]]) -> None:
            first, texts = batch
            # scipy's sparse product adds row by row in the order of the columns: no row sees its neighbours.
            x = _weighted(texts, model.columns, model.weights)
            vectors[first : first + len(texts)] = x @ model.components

        self._map(encode, ngrams.batches(texts))
        return vectors

    def _fitted(self) -> _Model:
        if self._model is None:
            raise RuntimeError("the lexical encoder must be fitted on a sample of the corpus first")
        return self._model

    def _map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        with ThreadPoolExecutor(self._threads) as pool:
            return list(pool.map(function, items))


def _vocabulary(records: npt.NDArray[np.int64], n_texts: int) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.float32]]:
    """The column of each bucket and the weight of each column, from how many texts hold each bucket.

    The commonest buckets have a column of their own, in the order of the buckets; the shared columns follow.
    """
    common = np.argsort(-records, kind="stable")[:_COLUMNS]
    common = np.sort(common[records[common] >= _MIN_RECORDS])
    columns = common.size + np.arange(ngrams.BUCKETS) % _SHARED_COLUMNS
    columns[common] = np.arange(common.size)
    held = np.append(records[common], np.ones(_SHARED_COLUMNS))
    # Squared: plain idf leaves the words that a whole corpus shares too much weight in its short records.
    weights = (np.log((n_texts + 1) / (held + 1)) + 1) ** 2
    return columns.astype(np.uint16), weights.astype(np.float32)


def _buckets_present(texts: Sequence[str]) -> npt.NDArray[np.int32]:
    """The buckets of each text, once per text."""
    every = np.arange(ngrams.BUCKETS, dtype=np.uint32)
    return ngrams.count(texts, every, ngrams.BUCKETS).indices


def _weighted(texts: Sequence[str], columns: npt.NDArray[np.uint16], weights: npt.NDArray[np.float32]) -> SparseRows:
    """The unit-length TF-IDF vectors of the texts: shape (len(texts), weights.size)."""
    x = ngrams.count(texts, columns, weights.size)
    x.data *= weights[x.indices] / (x.data + np.float32(_SATURATION))
    row = np.repeat(np.arange(len(texts)), np.diff(x.indptr))
    # bincount adds in order, in float64: the same for a text wherever it stands in the batch.
    length = np.sqrt(np.bincount(row, np.square(x.data, dtype=np.float64), minlength=len(texts)))
    x.data /= length.astype(np.float32)[row]
    return x


def _cut(lengths: Sequence[int], budget: int) -> int:
    """The length to which texts must be cut so that all together stay within the budget (at least 1)."""
    ascending = np.sort(np.asarray(lengths, np.int64))
    longer = np.arange(ascending.size, 0, -1)  # how many are at least that long
    shorter = np.cumsum(ascending) - ascending  # the sum of those before it
    # Of texts cut to the length of one of them; rises with that length.
    fits = int(np.count_nonzero(shorter + longer * ascending <= budget))
    if fits == ascending.size:
        return int(ascending.max(initial=1))
    return max(1, (budget - int(shorter[fits])) // int(longer[fits]))


def _cpus() -> int:
    limit = os.environ.get("OMP_NUM_THREADS", "")
    if limit.isdecimal() and len(limit) < 5 and int(limit) > 0:
        return int(limit)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
