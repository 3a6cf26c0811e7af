"""The embeddings of a corpus, partition by partition: found in the work folder, or made by whoever works on it.

What an encoder learns from, and what the centroids learn from, are the same records however the corpus is cut.
"""

from __future__ import annotations

import hashlib
import json
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from tithe.embedders.base import FittedEncoder, MeasuredEncoder, RecordEncoder, TextEncoder
from tithe.selection.arrays import Column, Floats, Rows, Vectors
from tithe.selection.corpus.bad_records import PLACES_KEPT, BadRecords
from tithe.selection.corpus.corpus import Corpus
from tithe.selection.corpus.partitions import Partition, by_full_path, cut
from tithe.selection.embedding import partition_work
from tithe.selection.embedding.embeddings import drawn
from tithe.selection.embedding.encode import measure, usable_values
from tithe.selection.embedding.lookup import Embedded, Embedding, Encoder
from tithe.selection.embedding.partition_work import Task
from tithe.selection.engine.columns import ColumnWriter, column_of
from tithe.selection.engine.executor import Executor, nothing
from tithe.selection.engine.quantities import BLOCK
from tithe.selection.engine.reservoir import Reservoir
from tithe.selection.engine.stages import Advance, Stages
from tithe.selection.errors import TitheError
from tithe.selection.options.choices import Policy
from tithe.selection.sizes import counted

# Changes when the same key would give other embeddings, or an entry holds other facts.
_VERSION = 5


@dataclass(frozen=True)
class CorpusEmbeddings:
    """The embeddings of a corpus, of which some can be had, and functions of all."""

    executor: Executor
    tasks: Sequence[Task]
    known: Sequence[Embedded]
    """What is known of the records of each partition."""
    key: Mapping[str, Any]
    """All that they depend on."""
    identity: Mapping[str, Any]
    """The encoder's."""
    found: bool = False
    """Whether all of them were in the work folder."""
    all_known: bool = True
    """Whether it is known which records are usable: vectors that are read where they lie must all be seen first."""

    @property
    def starts(self) -> Rows:
        """Where the records of each partition begin, and the number of all; rows, while not all is known."""
        return np.cumsum([0, *(known.usable if self.all_known else known.records for known in self.known)])

    @property
    def encoded(self) -> int:
        """Texts that the encoder was given in this run."""
        return sum(known.encoded for known in self.known)

    @property
    def reused(self) -> tuple[str, ...]:
        """For people: what of it was found in the work folder."""
        known, records = sum(known.known for known in self.known), int(self.starts[-1])
        if self.found:
            return ("embeddings",)
        return () if known == 0 else (f"{known:,} of {records:,} embeddings" if known < records else "embeddings",)

    def bad_records(self, policy: Policy) -> BadRecords:
        """The records of the corpus that cannot be used."""
        firsts = np.cumsum([0, *(known.records for known in self.known)])
        rows = [known.bad + first for known, first in zip(self.known, firsts[:-1], strict=True)]
        bad = BadRecords(policy)
        places = [place for known in self.known for place in known.places]
        bad.remember(np.concatenate([np.empty(0, np.int64), *rows]).tolist(), places[:PLACES_KEPT])
        return bad

    def with_bad(self, rows: Rows, places: Sequence[str]) -> CorpusEmbeddings:
        """The same once it is known which rows of the corpus cannot be used, and the first places of these."""
        firsts = np.cumsum([0, *(known.records for known in self.known)])
        edges = pairwise(np.searchsorted(rows, firsts).tolist())
        known = [
            replace(was, bad=rows[low:high] - first, places=() if number else tuple(places))
            for number, (was, first, (low, high)) in enumerate(zip(self.known, firsts.tolist(), edges, strict=False))
        ]
        return replace(self, known=known, all_known=True)

    def file_rows(self, files: int) -> list[int]:
        """Records of each of the files of the corpus."""
        found = [0] * files
        for task, known in zip(self.tasks, self.known, strict=True):
            for number, rows in enumerate(known.file_rows, task.partition.first_file):
                found[number] += rows
        return found

    @property
    def empty(self) -> int:
        """Records whose text is empty."""
        return sum(known.empty for known in self.known)

    def lengths(self) -> Column | None:
        """Characters of the text of each record, shape (n,); None where the encoder reads no text."""
        if any(known.entry is None for known in self.known):
            return None
        return column_of((known.lengths for known in self.known), np.uint32)

    def text_keys(self) -> Column:
        """A number of 63 bits for the text of each record, shape (n,): equal where the texts are.

        They are the first bits of a cryptographic hash: of a million texts two are taken for equal with a probability
        of 5e-8, of a billion with one of 5%.
        """
        parts = self.over_all(partition_work.text_keys)
        return column_of((keys.view("<i8").reshape(-1, 2)[:, 0] & np.int64(2**63 - 1) for keys in parts), np.int64)

    def sample(self, size: int, rng: np.random.Generator, advance: Advance) -> Vectors:
        """Vectors of at most `size` different records, drawn uniformly, in random order; shape (m, d).

        `advance` is told of the records of the corpus as the work goes on. Bad records fall out of it.
        """
        starts = self.starts
        numbers, places = drawn(int(starts[-1]), size, rng)
        out, found = np.empty((0, 0), np.float32), np.zeros(len(numbers), bool)
        for part, at, there, block in self._read(numbers):
            if len(block):
                if not out.size:
                    out = np.empty((len(numbers), block.shape[1]), np.float32)
                targets = places[at][there]
                out[targets] = block
                found[targets] = True
            advance(int(starts[part + 1] - starts[part]))
        return out if found.all() else out[found]

    def take(self, positions: Rows) -> Vectors:
        """The vectors at `positions`, ascending; shape (len(positions), d)."""
        return np.concatenate([block for _, _, _, block in self._read(positions)])

    def take_in_any_order(self, positions: Rows) -> Vectors:
        """The vectors at `positions`; shape (len(positions), d)."""
        order = np.argsort(positions, kind="stable")
        block = self.take(positions[order])
        found = np.empty_like(block)
        found[order] = block
        return found

    def summed(self, function: Callable[..., Floats], *columns: Column) -> Floats:
        """The sum of what a function makes of each block of the vectors, and of the same records of columns."""
        shared = self.executor.share(function)
        calls = (
            (task, known, shared, *(column[start:end] for column in columns))
            for task, known, (start, end) in zip(self.tasks, self.known, pairwise(self.starts.tolist()), strict=True)
        )
        found = self.executor.map(partition_work.summed, calls)
        return reduce(operator.add, (part for part in found if part is not None))

    def measured(
        self, function: Callable[[Vectors], Sequence[npt.NDArray[Any]]], dtypes: Sequence[str]
    ) -> list[Column]:
        """Columns that a function makes of the vectors, block by block; one of each dtype."""
        columns = [ColumnWriter(dtype) for dtype in dtypes]
        for found in self.over_all(partition_work.measured, function, tuple(dtypes)):
            for column, values in zip(columns, found, strict=True):
                column.append(values)
        return [column.column() for column in columns]

    def over_all(self, function: Callable[..., Any], *arguments: Any, advance: Advance = nothing) -> Iterator[Any]:
        """What a function finds for each partition, in their order, given what all of them are told."""
        shared = [self.executor.share(argument) for argument in arguments]
        calls = ((task, known, *shared) for task, known in zip(self.tasks, self.known, strict=True))
        return self.executor.map(function, calls, advance, len)

    def _read(self, numbers: Rows) -> Iterator[tuple[int, slice, npt.NDArray[np.bool_], Vectors]]:
        """Partition by partition, of some records, ascending: its number, which records they are, which of them have
        vectors, these."""
        starts = self.starts
        edges = np.searchsorted(numbers, starts)
        spans = [(part, slice(low, high)) for part, (low, high) in enumerate(pairwise(edges.tolist())) if low < high]
        calls = (
            (self.tasks[part], self.known[part], numbers[at] - starts[part], not self.all_known) for part, at in spans
        )
        for (part, at), (there, block) in zip(spans, self.executor.map(partition_work.vectors, calls), strict=True):
            yield part, at, there, block


def embed_corpus(
    about: Embedding, corpus: Corpus, encoder: Encoder, digests: Sequence[str], stages: Stages, executor: Executor
) -> CorpusEmbeddings:
    """The embeddings of a corpus; `digests` are the SHA-256 of its files.

    Raises TitheError where a record cannot be used, or the work folder not be written to.
    """
    files = [by_full_path(file) for file in corpus.files] if executor.remote else corpus.files
    partitions = cut(files, executor.partition_bytes)
    firsts = [0] * len(partitions)
    if isinstance(encoder, RecordEncoder):
        firsts = _acquainted(about, corpus, encoder, partitions, executor, stages)
    # Shared before it is asked for its identity, which may mean to load its weights.
    shared = executor.share(encoder)
    identity = _identified(encoder, shared, partitions, executor)
    recipe = dict(encoder.recipe() if isinstance(encoder, FittedEncoder) else identity)
    key = _key(about, corpus, recipe, digests)
    whole = isinstance(encoder, FittedEncoder | MeasuredEncoder)
    by_record = encoder if isinstance(encoder, RecordEncoder) else None
    tasks = [
        Task(
            partition,
            _key_of(partition, key, len(partitions), whole=whole, first_row=first),
            {"part": _own_inputs(partition, key) + list(partition.bytes or ())},
            about,
            by_record,
            first,
        )
        for partition, first in zip(partitions, firsts, strict=True)
    ]
    found = CorpusEmbeddings(executor, tasks, [], key, identity)
    if by_record is None:
        return _texts_embedded(found, corpus, encoder, shared, stages)
    with stages("embed", corpus.known_rows) as advance:
        known = list(
            executor.map(partition_work.look_up, ((task,) for task in tasks), advance, lambda made: made.usable)
        )
    in_place = corpus.schema is not None
    kept = not in_place and all(made.known == made.usable for made in known)
    return replace(found, known=known, found=kept, all_known=not in_place)


def _texts_embedded(
    found: CorpusEmbeddings, corpus: Corpus, encoder: Encoder, shared: Any, stages: Stages
) -> CorpusEmbeddings:
    executor, tasks, identity = found.executor, found.tasks, found.identity
    assert isinstance(encoder, TextEncoder)
    known: list[Embedded | None] = [None] * len(tasks)
    about = tasks[0].about
    work = about.work
    if any(work.holds("records", task.key) for task in tasks):
        with stages("check", corpus.known_rows) as advance:
            calls = ((task,) for task in tasks)
            known = list(
                executor.map(partition_work.find_embedded, calls, advance, lambda made: made.usable if made else 0)
            )
    missing = [number for number, made in enumerate(known) if made is None]
    if isinstance(encoder, FittedEncoder):
        if missing:
            _fit(found, corpus, encoder, about.seed, stages)
            identity, shared = dict(encoder.identity()), executor.share(encoder)
        else:
            identity = next(made.encoder for made in known if made is not None)
    if missing:
        with ExitStack() as stores, stages("embed", corpus.known_rows) as advance:
            store = None
            if not executor.remote:
                store = stores.enter_context(work.vectors(about.store_key(identity), about.dtype))
            calls = [(tasks[number], identity, store) for number in missing]
            made: Embedded
            for number, made in executor.with_workers(
                shared, partition_work.embed, calls, advance, lambda made: made.usable
            ):
                known[missing[number]] = made
    embedded = [made for made in known if made is not None]
    return replace(found, known=embedded, identity=identity, found=not missing)


def _fit(found: CorpusEmbeddings, corpus: Corpus, encoder: FittedEncoder, seed: int, stages: Stages) -> None:
    """Let the encoder learn from a uniform sample of the texts, in random order."""
    executor, tasks = found.executor, found.tasks
    with stages("fit", corpus.known_rows) as advance:
        calls = ((task,) for task in tasks)
        known: list[Embedded] = list(executor.map(partition_work.read_texts, calls, advance, lambda read: read.usable))
        starts = np.cumsum([0, *(part.usable for part in known)])
        sample: Reservoir[int] = Reservoir(encoder.fit_records, np.random.default_rng(seed))
        for start in range(0, int(starts[-1]), BLOCK):
            sample.extend(range(start, min(start + BLOCK, int(starts[-1]))))
        numbers = np.array(sample.items, np.int64)
        order = np.argsort(numbers)
        edges = np.searchsorted(numbers[order], starts).tolist()
        calls = [
            (task, part, numbers[order[low:high]] - start, encoder.fit_characters)
            for task, part, start, (low, high) in zip(tasks, known, starts[:-1].tolist(), pairwise(edges), strict=True)
            if low < high
        ]
        texts = (text for part in executor.map(partition_work.texts, calls) for text in part)
        learnt = [""] * len(numbers)
        for at, text in zip(order.tolist(), texts, strict=True):
            learnt[at] = text
        encoder.fit(learnt, seed=seed)


def _acquainted(
    about: Embedding,
    corpus: Corpus,
    encoder: RecordEncoder,
    partitions: Sequence[Partition],
    executor: Executor,
    stages: Stages,
) -> list[int]:
    """Let an encoder that looks vectors up see what it must of the records; the first row of each partition, where it
    goes by rows.

    It sees the first usable record, whose vector says how long all are, or all records, where it measures them.
    """
    if isinstance(encoder, MeasuredEncoder):
        with stages("measure", corpus.known_rows) as advance:
            measure(encoder, corpus, BadRecords(about.policy), advance)
    if encoder.rows is None:
        bad = BadRecords(about.policy)
        for batch in corpus.batches(encoder.fields):
            if usable_values(batch, bad, encoder.fields, encoder.lookup) is not None:
                break
        return [0] * len(partitions)
    rows = list(executor.map(partition_work.count_records, ((partition,) for partition in partitions)))
    if sum(rows) != encoder.rows:
        held, records = counted(encoder.rows, "row"), counted(sum(rows), "record")
        raise TitheError(f"--encoder {about.encoder}: holds {held}, but the corpus {records}")
    return (np.cumsum(rows) - rows).tolist()


def _identified(
    encoder: Encoder, shared: Any, partitions: Sequence[Partition], executor: Executor
) -> Mapping[str, Any]:
    """The encoder's identity: a neural one is loaded by a worker, where there are any; one that learns has none yet."""
    if isinstance(encoder, FittedEncoder):
        return {}
    if isinstance(encoder, RecordEncoder) or not executor.remote:
        return dict(encoder.identity())
    found = executor.with_workers(
        shared, partition_work.encoder_identity, [(partition,) for partition in partitions[:1]]
    )
    return dict(next(iter(dict(found).values()), {}))


def _key(about: Embedding, corpus: Corpus, encoder: Mapping[str, Any], digests: Sequence[str]) -> dict[str, Any]:
    """All that the embeddings of a corpus depend on."""
    return {
        "version": _VERSION,
        "inputs": [[file.format, digest] for file, digest in zip(corpus.files, digests, strict=True)],
        "text": None if about.rule is None else [about.rule.name, *about.rule.fields],
        "encoder": dict(encoder),
        "normalize": about.normalize,
        "dtype": about.dtype,
        "on_bad_record": about.policy,
        "max_record_size": about.max_record_size,
        "seed": about.seed,
    }


def _own_inputs(partition: Partition, key: Mapping[str, Any]) -> list[list[str]]:
    return key["inputs"][partition.first_file : partition.first_file + len(partition.files)]


def _key_of(
    partition: Partition, key: Mapping[str, Any], partitions: int, *, whole: bool, first_row: int
) -> dict[str, Any]:
    """All that the embeddings of a partition depend on: its own files, but where the encoder must have seen the whole
    corpus, or goes by the rows."""
    if partitions == 1:
        return dict(key)
    found = {**key, "inputs": _own_inputs(partition, key), "part": partition.bytes and [*partition.bytes]}
    if whole:
        found["corpus"] = hashlib.sha256(json.dumps(key["inputs"]).encode()).hexdigest()
    return {**found, "first_row": first_row} if first_row else found
