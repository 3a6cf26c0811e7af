"""What is done for one partition of a corpus, wherever that is: each function does a stage, and returns what it finds.

Embeddings are left in the work folder, which all machines share. What is done again, since a machine died, finds what
was kept of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tithe.embedders.base import RecordEncoder, TextEncoder
from tithe.selection.arrays import Column, Floats, Rows, Tokens, Vectors
from tithe.selection.corpus.bad_records import BadRecords
from tithe.selection.corpus.batch import BadRecord, Batch
from tithe.selection.corpus.partitions import Partition
from tithe.selection.corpus.tokens import Counting, count_tokens
from tithe.selection.corpus.usable import usable_texts
from tithe.selection.embedding.embeddings import Embeddings, KeptEmbeddings, LookedUpEmbeddings, over_blocks
from tithe.selection.embedding.lookup import Embedded, Embedding, embed_partition, find, find_whole, look_up_partition
from tithe.selection.embedding.vector_shards import Keys
from tithe.selection.embedding.vector_store import VectorStore
from tithe.selection.engine.executor import nothing
from tithe.selection.engine.hashes import sha256
from tithe.selection.engine.stages import Advance
from tithe.selection.errors import TitheError
from tithe.selection.storage.places import Place


@dataclass(frozen=True)
class KnownEncoder:
    """A text encoder that is ready, and whose identity need not be worked out for every partition."""

    encoder: TextEncoder
    known_identity: Mapping[str, Any]

    def identity(self) -> Mapping[str, Any]:
        return self.known_identity

    def encode(self, texts: Sequence[str]) -> Vectors:
        return self.encoder.encode(texts)


@dataclass(frozen=True)
class _ShiftedEncoder:
    """A record encoder for a partition, whose rows are others of the corpus."""

    encoder: RecordEncoder
    first_row: int
    rows: None = None

    @property
    def fields(self) -> tuple[str, ...]:
        return self.encoder.fields

    def identity(self) -> Mapping[str, Any]:
        return self.encoder.identity()

    def lookup(self, rows: Rows, values: Mapping[str, Any]) -> Vectors:
        return self.encoder.lookup(rows + self.first_row, values)


@dataclass(frozen=True)
class Task:
    """A partition, and what its embeddings depend on."""

    partition: Partition
    key: Mapping[str, Any]
    """Of its embeddings."""
    apart: Mapping[str, Any]
    """What tells its store of vectors from others, where it has one of its own."""
    about: Embedding
    encoder: RecordEncoder | None = None
    """One that finds vectors in the records; None where texts are encoded."""
    first_row: int = 0
    """Overall row of its first record, where that encoder goes by it."""

    def __str__(self) -> str:
        return str(self.partition)

    def look_up(self, advance: Advance = nothing, known: Embedded | None = None) -> tuple[Embedded, Embeddings]:
        """Vectors that are found in the records; `known`: which of these are unusable, as far as that is known."""
        assert self.encoder is not None
        encoder = self.encoder if self.encoder.rows is None else _ShiftedEncoder(self.encoder, self.first_row)
        corpus = self.partition.corpus()
        bad = BadRecords(self.about.policy)
        if known is not None:
            corpus.remember_rows(known.file_rows)
            bad = known.bad_records(self.about.policy)
        return look_up_partition(corpus, encoder, self.key, self.about, bad, advance)

    def embeddings(self, known: Embedded) -> Embeddings:
        """To be read, once they are made. Raises TitheError where they are gone."""
        if self.encoder is not None:
            return self.look_up(known=known)[1]
        found = find(self.key, self.about)
        if found is None:
            raise TitheError(f"{self.about.work.path}: lost the embeddings of {self.partition}; run again")
        return found[1]


def hashed(path: Place, *, advance: Advance) -> str:
    """SHA-256 of a file. Raises TitheError where it cannot be read."""
    try:
        return sha256(path, advance)
    except OSError as error:
        raise TitheError(f"{path}: cannot be read ({error.strerror})") from error


def count_records(partition: Partition, *, advance: Advance) -> int:
    """Records of a partition, the unusable ones too."""
    return partition.corpus().row_count()


def read_texts(task: Task, *, advance: Advance) -> Embedded:
    """Read all texts. Raises TitheError for a record that cannot be used, unless these are skipped."""
    assert task.about.rule is not None
    bad, corpus = BadRecords(task.about.policy), task.partition.corpus()
    for _ in usable_texts(corpus, task.about.rule, bad, advance):
        pass
    return Embedded(tuple(corpus.file_rows()), bad.rows(), tuple(bad.places), {})


def texts(task: Task, known: Embedded, numbers: Rows, characters: int, *, advance: Advance) -> list[str]:
    """The beginnings of some texts, given by the numbers of the usable records, ascending."""
    rule, corpus = task.about.rule, task.partition.corpus()
    assert rule is not None
    corpus.remember_rows(known.file_rows)
    found: list[str] = []
    for batch in corpus.take(known.bad_records(task.about.policy).overall_rows(numbers), rule.fields):
        for record in batch.records():
            assert not isinstance(record, BadRecord), "it was usable before"
            found.append(rule.text(record)[:characters])
    return found


def find_embedded(task: Task, *, advance: Advance) -> Embedded | None:
    """What an earlier run made of the texts, if it is whole."""
    return find_whole(task.key, task.about, advance)


def embed(
    task: Task, encoder: TextEncoder, identity: Mapping[str, Any], store: VectorStore | None, *, advance: Advance
) -> Embedded:
    """Embed the texts; `identity` is the encoder's, `store` its vectors where they are open here."""
    corpus, encoder = task.partition.corpus(), KnownEncoder(encoder, identity)
    return embed_partition(corpus, encoder, task.key, task.about, store, task.apart, advance)


def look_up(task: Task, *, advance: Advance) -> Embedded:
    """Find the vectors in the records. What lies in Parquet is left there, not looked at."""
    return task.look_up(advance)[0]


def encoder_identity(partition: Partition, encoder: TextEncoder, *, advance: Advance) -> Mapping[str, Any]:
    """What an encoder is called where it works."""
    return encoder.identity()


def vectors(
    task: Task, known: Embedded, numbers: Rows, of_rows: bool, *, advance: Advance
) -> tuple[npt.NDArray[np.bool_], Vectors]:
    """Vectors of some records, ascending, and of which of them there are any.

    Given by their position among the usable ones, or by their row, where nobody knows yet which are usable.
    """
    embeddings = task.embeddings(known)
    if not of_rows:
        return np.ones(len(numbers), bool), embeddings.take(numbers)
    assert isinstance(embeddings, LookedUpEmbeddings)
    found = [(rows, block) for rows, block in embeddings.usable(numbers) if len(rows)]
    there = np.isin(numbers, np.concatenate([np.empty(0, np.int64), *(rows for rows, _ in found)]))
    return there, np.concatenate([block for _, block in found]) if found else np.empty((0, 0), np.float32)


def tokens(task: Task, known: Embedded, counting: Counting, *, advance: Advance) -> Tokens:
    """The tokens of each usable record."""
    corpus = task.partition.corpus()
    corpus.remember_rows(known.file_rows)
    characters = None if known.entry is None else np.asarray(known.lengths)
    return count_tokens(counting, corpus, task.about.rule, known.bad_records(task.about.policy), characters, advance)


def summed(
    task: Task, known: Embedded, function: Callable[..., Floats], *columns: Column, advance: Advance
) -> Floats | None:
    """The sum of what a function makes of each block of the embeddings, and of the same records of columns; None where
    there are no embeddings."""
    total: Floats | None = None
    for found in over_blocks(task.embeddings(known), function, *columns):
        total = found if total is None else total + found
    return total


def measured(
    task: Task,
    known: Embedded,
    function: Callable[[Vectors], Sequence[npt.NDArray[Any]]],
    dtypes: Sequence[str],
    *,
    advance: Advance,
) -> list[npt.NDArray[Any]]:
    """Columns that a function makes of the embeddings, block by block; one of each dtype."""
    found: list[list[npt.NDArray[Any]]] = [[np.empty(0, dtype)] for dtype in dtypes]
    for block in over_blocks(task.embeddings(known), function):
        for column, values in zip(found, block, strict=True):
            column.append(values)
    return [np.concatenate(column).astype(dtype, copy=False) for column, dtype in zip(found, dtypes, strict=True)]


def text_keys(task: Task, known: Embedded, *, advance: Advance) -> Keys:
    """A key of each text, shape (m, 16): equal where the texts are, in all partitions."""
    embeddings = task.embeddings(known)
    assert isinstance(embeddings, KeptEmbeddings), "there are texts"
    return embeddings.text_keys()


def taken(
    partition: Partition, known: Embedded, first_row: int, rows: Rows, fields: Sequence[str] | None, *, advance: Advance
) -> list[Batch]:
    """The records at some overall rows, ascending."""
    corpus = partition.corpus(first_row)
    corpus.remember_rows(known.file_rows)
    return list(corpus.take(rows, fields))
