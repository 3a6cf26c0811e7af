"""The embeddings of one partition of a corpus: found in the work folder, or made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tithe.embedders.base import RecordEncoder, TextEncoder
from tithe.selection.arrays import Rows
from tithe.selection.corpus.bad_records import BadRecords
from tithe.selection.corpus.corpus import Corpus
from tithe.selection.corpus.text import TextRule
from tithe.selection.embedding.embeddings import Embeddings, FileEmbeddings, KeptEmbeddings, LookedUpEmbeddings
from tithe.selection.embedding.encode import embed_texts
from tithe.selection.embedding.vector_file import VectorFile
from tithe.selection.embedding.vector_store import VectorStore
from tithe.selection.embedding.work_folder import WorkFolder
from tithe.selection.engine.stages import Advance
from tithe.selection.options.choices import Policy, StoreDtype
from tithe.selection.storage.npy import map_numbers
from tithe.selection.storage.own_files import OwnPath
from tithe.selection.storage.writing import writing

Encoder = TextEncoder | RecordEncoder

# Changes when the same encoder and text would give another vector in the store.
_VERSION = 1

FACTS, LENGTHS, _ROWS, _SPOOL = "facts.json", "lengths", "rows", "vectors"


@dataclass(frozen=True)
class Embedding:
    """What the embeddings of all partitions have in common, and where they are kept."""

    work: WorkFolder
    rule: TextRule | None
    """How a record becomes a text; None where vectors are found in the records."""
    policy: Policy
    normalize: bool
    dtype: StoreDtype
    seed: int
    """Of what an encoder learns from."""
    max_record_size: int
    encoder: str
    """As `--encoder` names it."""

    def store_key(self, encoder: Mapping[str, Any]) -> dict[str, Any]:
        """What a store of vectors depends on."""
        return {"version": _VERSION, "encoder": dict(encoder), "normalize": self.normalize, "dtype": self.dtype}


@dataclass(frozen=True)
class Embedded:
    """What is known of the records of a partition once they are embedded."""

    file_rows: tuple[int, ...]
    """Records of each of its files, the unusable ones too."""
    bad: Rows
    """Rows in the partition that cannot be used, ascending."""
    places: tuple[str, ...]
    """The first few of these."""
    encoder: Mapping[str, Any]
    """The encoder's identity."""
    entry: OwnPath | None = None
    """Where the lengths of the texts lie; None where the encoder reads no text."""
    encoded: int = 0
    """Texts that the encoder was given in this run."""
    known: int = 0
    """Embeddings that were in the work folder."""
    empty: int = 0
    """Records whose text is empty."""

    @property
    def records(self) -> int:
        """All of them, the unusable ones too."""
        return sum(self.file_rows)

    @property
    def usable(self) -> int:
        return self.records - len(self.bad)

    @property
    def lengths(self) -> npt.NDArray[np.uint32]:
        """Characters of each record's text, shape (usable,), on disk."""
        assert self.entry is not None, "there are texts"
        return map_numbers(self.entry / LENGTHS, np.uint32)

    def bad_records(self, policy: Policy) -> BadRecords:
        """The unusable ones, by their rows in the partition."""
        bad = BadRecords(policy)
        bad.remember(self.bad.tolist(), self.places)
        return bad


def find(key: Mapping[str, Any], about: Embedding) -> tuple[Embedded, KeptEmbeddings] | None:
    """What an earlier run made of the same texts; `key` is that of the partition."""
    entry = about.work.find("records", key)
    if entry is None:
        return None
    facts = read_facts(entry)
    store = about.work.kept_vectors(facts["vectors"], about.dtype)
    if store is None:
        return None
    return _embedded(entry, facts, known=None), KeptEmbeddings(store, map_numbers(entry / _ROWS, np.int64))


def find_whole(key: Mapping[str, Any], about: Embedding, advance: Advance) -> Embedded | None:
    """The same, unless it is damaged: looks at every vector."""
    found = find(key, about)
    return found[0] if found is not None and found[1].are_whole(advance) else None


def embed_partition(
    corpus: Corpus,
    encoder: TextEncoder,
    key: Mapping[str, Any],
    about: Embedding,
    store: VectorStore | None,
    apart: Mapping[str, Any],
    advance: Advance,
) -> Embedded:
    """Embed the texts of a partition, but those whose vectors the store has.

    Args:
        corpus: the records of the partition.
        encoder: ready to encode.
        key: of the partition.
        about: what all partitions have in common.
        store: the vectors of the encoder, open to be added to; None: the partition has a store of its own.
        apart: what tells that from others of the same encoder.
        advance: told of the records.

    Raises TitheError where a record cannot be used, or the work folder not be written to.
    """
    assert about.rule is not None
    bad, identity = BadRecords(about.policy), dict(encoder.identity())
    kept = about.store_key(identity) if store is not None else {**about.store_key(identity), **apart}
    opened: AbstractContextManager[VectorStore] = (
        about.work.vectors(kept, about.dtype) if store is None else nullcontext(store)
    )
    with opened as store, about.work.adding("records", key) as folder:
        with ExitStack() as files:
            before, known, empty = store.count, 0, 0
            rows, lengths = (files.enter_context((folder / name).create()) for name in (_ROWS, LENGTHS))

            def keep(at: Rows, characters: npt.NDArray[np.uint32], without_text: int) -> None:
                nonlocal known, empty
                known += int(np.count_nonzero(at < store.begun_with))
                empty += without_text
                with writing(about.work.path):
                    rows.write(at.tobytes())
                    lengths.write(characters.tobytes())

            encoded = embed_texts(
                encoder, corpus, about.rule, bad, store, normalize=about.normalize, keep=keep, advance=advance
            )
        if store.count > before:
            with writing(about.work.path):
                store.sync()
        facts = {"encoder": identity, "vectors": kept, "empty": empty}
        write_facts(folder, bad, {**facts, "file_rows": corpus.file_rows()})
    entry = about.work.find("records", key)
    assert entry is not None
    return _embedded(entry, read_facts(entry), known=known, encoded=encoded)


def look_up_partition(
    corpus: Corpus, encoder: RecordEncoder, key: Mapping[str, Any], about: Embedding, bad: BadRecords, advance: Advance
) -> tuple[Embedded, Embeddings]:
    """Vectors that exist already. Those in Parquet are read where they lie, and which are usable is known only when all
    have been read; those in JSONL are copied, since to look them up again would mean to parse again.

    Raises TitheError where a record of JSONL cannot be used, or the work folder not be written to.
    """
    identity = dict(encoder.identity())
    looked_up = LookedUpEmbeddings(corpus, encoder, bad, normalize=about.normalize)
    if corpus.schema is not None:
        return Embedded(tuple(corpus.file_rows()), bad.rows(), tuple(bad.places), identity), looked_up
    entry = about.work.find("records", key)
    found = entry is not None
    if entry is None:
        with about.work.adding("records", key) as folder:
            with writing(about.work.path), VectorFile(folder / _SPOOL) as vectors_file:
                for vectors in looked_up.blocks():
                    vectors_file.append(vectors)
                    advance(len(vectors))
            facts = {"spool": [vectors_file.count, vectors_file.dimensions], "encoder": identity, "empty": 0}
            write_facts(folder, bad, {**facts, "file_rows": corpus.file_rows()})
        entry = about.work.find("records", key)
        assert entry is not None
    facts = read_facts(entry)
    made = replace(_embedded(entry, facts, known=None if found else 0), entry=None)
    return made, FileEmbeddings(VectorFile.written(entry / _SPOOL, *facts["spool"]))


def read_facts(entry: OwnPath) -> dict[str, Any]:
    """What `write_facts` wrote into an entry."""
    return json.loads((entry / FACTS).read())


def write_facts(folder: OwnPath, bad: BadRecords, facts: Mapping[str, Any]) -> None:
    """Write the facts of an entry, those on bad records among them."""
    facts = {**facts, "bad_rows": bad.rows().tolist(), "bad_places": bad.places}
    with writing(folder.parent):
        (folder / FACTS).write((json.dumps(facts, indent=1) + "\n").encode())


def _embedded(entry: OwnPath, facts: Mapping[str, Any], *, known: int | None, encoded: int = 0) -> Embedded:
    """`known`: see there; None: all of them."""
    found = Embedded(
        file_rows=tuple(facts["file_rows"]),
        bad=np.array(facts["bad_rows"], np.int64),
        places=tuple(facts["bad_places"]),
        encoder=facts["encoder"],
        entry=entry,
        encoded=encoded,
        empty=facts["empty"],
    )
    return replace(found, known=found.usable if known is None else known)
