"""A short trial on the user's own records: how long it takes to read, encode and search them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from tithe.embedders.base import FittedEncoder, MeasuredEncoder, RecordEncoder, TextEncoder
from tithe.selection.arrays import Vectors
from tithe.selection.clustering import kmeans
from tithe.selection.clustering.cells import make_hinted_search
from tithe.selection.clustering.nearest import search_all
from tithe.selection.corpus.bad_records import BadRecords
from tithe.selection.corpus.corpus import Corpus
from tithe.selection.corpus.text import TextRule, is_empty
from tithe.selection.corpus.usable import usable_texts
from tithe.selection.embedding.embeddings import LookedUpEmbeddings
from tithe.selection.embedding.encode import measure
from tithe.selection.embedding.vector_file import BLOCK
from tithe.selection.engine.reservoir import Reservoir, VectorReservoir
from tithe.selection.engine.stages import Advance
from tithe.selection.engine.threads import workers

Part = TypeVar("Part")

# Seconds after which the rest of the reading is extrapolated, where the number of records is known without it.
_READING = 10.0

# Encoding goes on with twice as many texts until it has taken so many seconds, or there are no more.
_ENCODING = 2.0
_FIRST_TEXTS, _TEXTS = 256, 4096

# Characters of a text that are encoded: all of nearly any.
_CHARACTERS = 1 << 17


@dataclass
class Work:
    """Seconds that something takes: by the clock, and of all processors together."""

    seconds: float = 0.0
    cpu: float = 0.0

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Add what the block takes."""
        clock, cpu = time.perf_counter(), time.process_time()
        yield
        self.seconds += time.perf_counter() - clock
        self.cpu += time.process_time() - cpu

    def times(self, factor: float) -> Work:
        """The same so many times."""
        return Work(self.seconds * factor, self.cpu * factor)

    def beside(self, other: Work) -> float:
        """Seconds that both take, one beside the other."""
        return max(self.seconds, other.seconds, (self.cpu + other.cpu) / workers())


@dataclass
class Trial:
    """What was found out about a corpus and its encoder."""

    records: int = 0
    bad: int = 0
    """Bad ones among those read."""
    texts: int = 0
    """Texts that were read."""
    empty: int = 0
    """Empty ones among these."""
    dimensions: int = 1
    reading: Work = field(default_factory=Work)
    """Of all records, with the making of their texts where the encoder reads texts."""
    fitting: Work = field(default_factory=Work)
    """Of the encoder, besides the reading; for one that measures records, the reading is in it."""
    encoding: Work = field(default_factory=Work)
    """Of the texts of all records."""
    vectors: Vectors = field(default_factory=lambda: np.empty((0, 0), np.float32))
    """Some of the records', in random order, where they need not be encoded first."""


def try_texts(
    encoder: TextEncoder, corpus: Corpus, rule: TextRule, bad: BadRecords, *, seed: int, advance: Advance
) -> Trial:
    """Read the texts of a corpus, fit the encoder where it is to be fitted, encode some of the texts."""
    trial = Trial()
    fitted = isinstance(encoder, FittedEncoder)
    sample: Reservoir[str] = Reservoir(encoder.fit_records if fitted else _TEXTS, np.random.default_rng(seed))
    for _, texts in _timed(usable_texts(corpus, rule, bad, advance), trial, corpus, lambda part: len(part[1])):
        sample.extend([text[:_CHARACTERS] for text in texts])
        trial.texts += len(texts)
        trial.empty += sum(map(is_empty, texts))
    trial.records, trial.bad = corpus.row_count(), len(bad)
    if not sample.items:
        return trial
    if fitted:
        with trial.fitting.timed():
            encoder.fit([text[: encoder.fit_characters] for text in sample.items], seed=seed)
    encoder.encode(sample.items[:8])  # loads what is loaded at the first use
    count = _FIRST_TEXTS
    while True:
        texts, encoding = sample.items[:count], Work()
        with encoding.timed():
            trial.dimensions = encoder.encode(texts).shape[1]
        if encoding.seconds >= _ENCODING or count >= len(sample.items):
            break
        count *= 2
    trial.encoding = encoding.times(trial.records / len(texts))
    return trial


def try_vectors(
    encoder: RecordEncoder, corpus: Corpus, bad: BadRecords, *, normalize: bool, keep: int, advance: Advance
) -> Trial:
    """Read the vectors of a corpus that exist already, and keep so many of those read, at random."""
    trial = Trial()
    if isinstance(encoder, MeasuredEncoder):
        with trial.fitting.timed():
            measure(encoder, corpus, bad, lambda count: None)
    vectors = LookedUpEmbeddings(corpus, encoder, bad, normalize=normalize)
    kept = VectorReservoir(keep, np.random.default_rng(0))
    for block in _timed(vectors.blocks(), trial, corpus, len):
        trial.dimensions = block.shape[1]
        kept.extend(block)
        advance(len(block))
    trial.vectors = kept.vectors()
    trial.records, trial.bad = corpus.row_count(), len(bad)
    return trial


@dataclass(frozen=True)
class SearchRates:
    """How fast points find their centroids on all cores."""

    anew: float
    """Points a second."""
    hinted: float
    """Points a second, where the nearest centroid is nearly known."""
    making: float
    """Seconds to make a search from hints."""


@threadpool_limits.wrap(limits=1, user_api="blas")  # as in the clustering
def search_rates(vectors: Vectors, k: int, dimensions: int) -> SearchRates:
    """Tried with k of `vectors`, shape (m, d), for centroids, and the rest for points; with made ones if those are few.

    Among many centroids, a search is the faster the more they differ in their distance to a point; made ones do not
    differ as much as those of most corpora.
    """
    wanted = workers() * BLOCK
    if len(vectors) >= k + BLOCK:
        centroids, points = vectors[:k], vectors[k : k + wanted]
    else:
        rng = np.random.default_rng(0)
        centroids = rng.standard_normal((k, dimensions), dtype=np.float32)
        points = centroids[rng.integers(k, size=wanted)]
        points += np.float32(0.5) * rng.standard_normal(points.shape, dtype=np.float32)
    search = kmeans.final_search(centroids, points)
    making, anew, hinted = Work(), Work(), Work()
    search_all(points[:64], search)
    with anew.timed():
        labels, _ = search_all(points, search)
    with making.timed():
        search = make_hinted_search(centroids)
    with hinted.timed():
        search_all(points, search, hints=labels)
    return SearchRates(len(points) / anew.seconds, len(points) / hinted.seconds, making.seconds)


def _timed(parts: Iterator[Part], trial: Trial, corpus: Corpus, size: Callable[[Part], int]) -> Iterator[Part]:
    """The parts, while the trial's reading is timed; after _READING seconds it is extrapolated, where that can be."""
    seen = 0
    while True:
        with trial.reading.timed():
            part = next(parts, None)
        if part is None:
            return
        seen += size(part)
        yield part
        if corpus.known_rows is not None and seen and trial.reading.seconds > _READING:
            trial.reading = trial.reading.times(corpus.known_rows / seen)
            return
