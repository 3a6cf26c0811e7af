"""The embeddings of a corpus: found in the work folder, or made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tithe.embedders.base import FittedEncoder, MeasuredEncoder, RecordEncoder, TextEncoder
from tithe.selection.bad_records import BadRecords
from tithe.selection.corpus import Corpus, TextRule
from tithe.selection.embeddings import Embeddings, KeptEmbeddings, LookedUpEmbeddings, SpooledEmbeddings
from tithe.selection.encode import embed_texts, fit_encoder, measure
from tithe.selection.errors import TitheError
from tithe.selection.options import Options
from tithe.selection.own_files import OwnPath
from tithe.selection.sizes import counted
from tithe.selection.stages import Stages
from tithe.selection.work.arrays import map_numbers
from tithe.selection.work.folder import WorkFolder, writing
from tithe.selection.work.spool import Spool
from tithe.selection.work.vectors import VectorStore

Encoder = TextEncoder | RecordEncoder

# Changes when the same encoder and text would give another vector in the store.
_VERSION = 1

FACTS, LENGTHS, _ROWS, _SPOOL = "facts.json", "lengths", "rows", "vectors"


@dataclass(frozen=True)
class Embedded:
    """The embeddings of the usable records, and how they came about."""

    embeddings: Embeddings
    encoder: Mapping[str, Any]
    """The encoder's identity."""
    lengths: npt.NDArray[np.uint32] | None
    """Characters of each record's text, shape (n,), on disk; None where the encoder reads no text."""
    encoded: int
    """Texts that the encoder was given in this run."""
    reused: tuple[str, ...] = ()
    """What the work folder had."""
    entry: OwnPath | None = None
    """Where the lengths lie."""
    empty: int = 0
    """Records whose text is empty."""


def embed(
    options: Options,
    corpus: Corpus,
    rule: TextRule | None,
    encoder: Encoder,
    bad: BadRecords,
    work: WorkFolder,
    key: Mapping[str, Any],
    stages: Stages,
    *,
    apart: Mapping[str, Any] | None = None,
) -> Embedded:
    """The embeddings of a corpus; `key` says what they depend on.

    `apart` tells their store from others of the same encoder, which several processes write at once. Raises TitheError
    where a record cannot be used, or the work folder not be written to.
    """
    if isinstance(encoder, RecordEncoder):
        return _looked_up(options, corpus, encoder, bad, work, key, stages)
    assert rule is not None
    found = find_whole(options, corpus, bad, work, key, stages)
    return _made(options, corpus, rule, encoder, bad, work, key, stages, apart or {}) if found is None else found


def _looked_up(
    options: Options,
    corpus: Corpus,
    encoder: RecordEncoder,
    bad: BadRecords,
    work: WorkFolder,
    key: Mapping[str, Any],
    stages: Stages,
) -> Embedded:
    """Vectors that exist already. Out of JSONL they are copied: to look them up again would mean to parse again."""
    if encoder.rows not in (None, corpus.row_count()):
        rows, records = counted(encoder.rows or 0, "row"), counted(corpus.row_count(), "record")
        raise TitheError(f"--encoder {options.encoder}: holds {rows}, but the corpus {records}")
    if isinstance(encoder, MeasuredEncoder):
        with stages("measure", corpus.known_rows) as advance:
            measure(encoder, corpus, bad, advance)
    looked_up = LookedUpEmbeddings(corpus, encoder, bad, normalize=options.unit_length)
    if corpus.schema is not None:
        return Embedded(looked_up, key["encoder"], None, 0)
    entry = work.find("records", key)
    reused = entry is not None
    if entry is None:
        with work.adding("records", key) as folder, stages("embed", corpus.known_rows) as advance:
            with writing(work.path), Spool(folder / _SPOOL) as spool:
                for vectors in looked_up.blocks():
                    spool.append(vectors)
                    advance(len(vectors))
            facts = {"spool": [spool.count, spool.dimensions]}
            _write_facts(folder, corpus, bad, facts)
        entry = work.find("records", key)
        assert entry is not None
    _remember(entry, corpus, bad)
    count, dimensions = read_facts(entry)["spool"]
    spool = Spool.written(entry / _SPOOL, count, dimensions)
    return Embedded(SpooledEmbeddings(spool), key["encoder"], None, 0, ("embeddings",) if reused else ())


def find_whole(
    options: Options, corpus: Corpus, bad: BadRecords, work: WorkFolder, key: Mapping[str, Any], stages: Stages
) -> Embedded | None:
    """What an earlier run made of the texts of the same records, unless it is damaged."""
    found = find(options, corpus, bad, work, key)
    if found is None:
        return None
    embedded, store, rows = found
    with stages("check", len(rows)) as advance:
        return embedded if store.holds(rows, advance) else None


def find(
    options: Options, corpus: Corpus, bad: BadRecords, work: WorkFolder, key: Mapping[str, Any]
) -> tuple[Embedded, VectorStore, npt.NDArray[np.int64]] | None:
    """The same without a look at every vector; the store, and where in it they lie."""
    entry = work.find("records", key)
    if entry is None:
        return None
    facts = read_facts(entry)
    store = work.kept_vectors(facts["vectors"], options.kept_as)
    if store is None:
        return None
    rows, lengths = map_numbers(entry / _ROWS, np.int64), map_numbers(entry / LENGTHS, np.uint32)
    _remember(entry, corpus, bad)
    kept = KeptEmbeddings(store, rows)
    return Embedded(kept, facts["encoder"], lengths, 0, ("embeddings",), entry, facts["empty"]), store, rows


def _made(
    options: Options,
    corpus: Corpus,
    rule: TextRule,
    encoder: TextEncoder,
    bad: BadRecords,
    work: WorkFolder,
    key: Mapping[str, Any],
    stages: Stages,
    apart: Mapping[str, Any],
) -> Embedded:
    if isinstance(encoder, FittedEncoder):
        with stages("fit", corpus.known_rows) as advance:
            fit_encoder(encoder, corpus, rule, bad, seed=options.cluster_seed, advance=advance)
    identity = dict(encoder.identity())
    about = {
        "version": _VERSION,
        "encoder": identity,
        "normalize": options.unit_length,
        "dtype": options.kept_as,
        **apart,
    }
    with work.vectors(about, options.kept_as) as store, work.adding("records", key) as folder:
        with ExitStack() as files, stages("embed", corpus.known_rows) as advance:
            before, known, empty = store.count, 0, 0
            rows, lengths = (files.enter_context((folder / name).create()) for name in (_ROWS, LENGTHS))

            def keep(at: npt.NDArray[np.int64], characters: npt.NDArray[np.uint32], without_text: int) -> None:
                nonlocal known, empty
                known += int(np.count_nonzero(at < before))
                empty += without_text
                with writing(work.path):
                    rows.write(at.tobytes())
                    lengths.write(characters.tobytes())

            encoded = embed_texts(
                encoder,
                corpus,
                rule,
                bad,
                store,
                normalize=options.unit_length,
                keep=keep,
                advance=advance,
            )
        records = corpus.row_count() - len(bad)
        _write_facts(folder, corpus, bad, {"encoder": identity, "vectors": about, "empty": empty})
    entry = work.find("records", key)
    assert entry is not None
    kept = KeptEmbeddings(store, map_numbers(entry / _ROWS, np.int64))
    some = f"{known:,} of {records:,} embeddings"
    reused = () if known == 0 else ("embeddings",) if known == records else (some,)
    return Embedded(kept, identity, map_numbers(entry / LENGTHS, np.uint32), encoded, reused, entry, empty)


def read_facts(entry: OwnPath) -> dict[str, Any]:
    """What `save_facts` wrote into an entry."""
    return json.loads((entry / FACTS).read())


def save_facts(folder: OwnPath, facts: Mapping[str, Any]) -> None:
    """Write facts of an entry. Raises OSError."""
    (folder / FACTS).write((json.dumps(facts, indent=1) + "\n").encode())


def write_facts(folder: OwnPath, bad: BadRecords, facts: Mapping[str, Any]) -> None:
    """Write the facts of an entry, those on bad records among them."""
    with writing(folder.parent):
        save_facts(folder, {**facts, "bad_rows": bad.rows().tolist(), "bad_places": bad.places})


def _write_facts(folder: OwnPath, corpus: Corpus, bad: BadRecords, facts: Mapping[str, Any]) -> None:
    write_facts(folder, bad, {**facts, "file_rows": corpus.file_rows()})


def _remember(entry: OwnPath, corpus: Corpus, bad: BadRecords) -> None:
    facts = read_facts(entry)
    corpus.remember_rows(facts["file_rows"])
    bad.remember(facts["bad_rows"], facts["bad_places"])
