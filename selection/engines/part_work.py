"""What is done for one part of a corpus, wherever that is: each function does a stage, and leaves its arrays in the
work folder, which all machines share. A part that is done again, since a machine died, finds what was kept of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from tithe.embedders.base import RecordEncoder, TextEncoder
from tithe.selection import clustering
from tithe.selection.bad_records import BadRecords
from tithe.selection.corpus import BadRecord, Batch, Corpus
from tithe.selection.corpus.storage import Place
from tithe.selection.embedded import LENGTHS, Embedded, embed, find, find_whole
from tithe.selection.embeddings import Embeddings, KeptEmbeddings, LookedUpEmbeddings, over_blocks, summed_over
from tithe.selection.encode import usable_texts
from tithe.selection.engines.kept import keep, kept
from tithe.selection.engines.part_facts import (
    TOKENS,
    Assigned,
    PlacedPart,
    Records,
    Setup,
    bad_of,
    lengths_in,
    name,
    scratch_of,
)
from tithe.selection.engines.parts import Part
from tithe.selection.engines.scattered import DISTANCES, LABELS
from tithe.selection.errors import TitheError
from tithe.selection.manifest import sha256
from tithe.selection.nearest import Search
from tithe.selection.own_files import OwnPath
from tithe.selection.stages import Stages
from tithe.selection.tokens import but_late, count_tokens
from tithe.selection.work.arrays import load_array, save_array
from tithe.selection.work.folder import WorkFolder, drop, writing
from tithe.selection.work.shards import Keys

Rows = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

# Tokens, before it is known which records are usable.
_COUNTED = "counted-tokens"


@dataclass(frozen=True)
class KnownEncoder:
    """A text encoder that is ready, and whose identity need not be worked out for every part."""

    encoder: TextEncoder
    known_identity: Mapping[str, Any]

    def identity(self) -> Mapping[str, Any]:
        """See TextEncoder."""
        return self.known_identity

    def encode(self, texts: Sequence[str]) -> Vectors:
        """See TextEncoder."""
        return self.encoder.encode(texts)


@dataclass(frozen=True)
class PartEncoder:
    """A record encoder for a part of the corpus: rows of the part are others of the whole."""

    encoder: RecordEncoder
    first_row: int
    rows: None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """See RecordEncoder."""
        return self.encoder.fields

    def identity(self) -> Mapping[str, Any]:
        """See RecordEncoder."""
        return self.encoder.identity()

    def lookup(self, rows: Rows, values: Mapping[str, Any]) -> Vectors:
        """See RecordEncoder."""
        return self.encoder.lookup(rows + self.first_row, values)


def of_part(encoder: RecordEncoder, part: Part) -> RecordEncoder:
    """The encoder as it works on the records of a part."""
    return encoder if encoder.rows is None else PartEncoder(encoder, part.first_row)


# The stages, in their order.


def hashed(path: Place) -> str:
    """SHA-256 of a file. Raises TitheError where it cannot be read."""
    try:
        return sha256(path)
    except OSError as error:
        raise TitheError(f"{path}: cannot be read ({error.strerror})") from error


def rows_of(part: Part) -> int:
    """Number of the part's records, the unusable ones too."""
    return Corpus([part.file]).row_count()


def counted(part: Part, setup: Setup) -> Records:
    """Read all texts. Raises TitheError for a record that cannot be used, unless these are skipped."""
    assert setup.rule is not None
    bad, corpus = BadRecords(setup.options.on_bad_record), Corpus([part.file])
    for _ in usable_texts(corpus, setup.rule, bad, lambda count: None):
        pass
    return _known(corpus, bad)


def texts(part: Part, setup: Setup, known: Records, numbers: Rows, characters: int) -> list[str]:
    """The beginnings of some texts, given by the numbers of the usable records, ascending."""
    rule, corpus = setup.rule, Corpus([part.file])
    assert rule is not None
    corpus.remember_rows([known.rows])
    found: list[str] = []
    for batch in corpus.take(bad_of(known).overall_rows(numbers), rule.fields):
        for record in batch.records():
            assert not isinstance(record, BadRecord), "it was usable before"
            found.append(rule.text(record)[:characters])
    return found


def found_embedded(part: Part, setup: Setup) -> Records | None:
    """What an earlier run made of the part's texts, if it is whole."""
    bad, corpus = BadRecords(setup.options.on_bad_record), Corpus([part.file])
    with _work(setup) as work:
        found = find_whole(setup.options, corpus, bad, work, setup.key_of(part), Stages())
        return None if found is None else _known(corpus, bad, found)


def embedded(part: Part, encoder: TextEncoder | RecordEncoder, setup: Setup) -> Records:
    """Embed the part's records, or find that they are. Vectors that lie in Parquet are left there, not looked at."""
    bad, corpus = BadRecords(setup.options.on_bad_record), Corpus([part.file])
    with _work(setup) as work:
        encoder = encoder if isinstance(encoder, TextEncoder) else of_part(encoder, part)
        made = embed(
            setup.options, corpus, setup.rule, encoder, bad, work, setup.key_of(part), Stages(), apart=setup.apart(part)
        )
        return _known(corpus, bad, made)


def embedded_by(part: Part, encoder: TextEncoder, setup: Setup, known_identity: Mapping[str, Any]) -> Records:
    """The same by an encoder that is ready."""
    return embedded(part, KnownEncoder(encoder, known_identity), setup)


def identity(part: Part, encoder: TextEncoder) -> Mapping[str, Any]:
    """What an encoder is called where it works."""
    return encoder.identity()


def kept_identity(part: Part, setup: Setup) -> Mapping[str, Any]:
    """What the encoder was called that made the part's embeddings."""
    with _work(setup) as work:
        found = find(setup.options, Corpus([part.file]), BadRecords("skip"), work, setup.key_of(part))
        assert found is not None, "it was found before"
        return found[0].encoder


def vectors(
    part: Part, setup: Setup, known: Records, numbers: Rows, of_rows: bool
) -> tuple[npt.NDArray[np.bool_], Vectors]:
    """Vectors of some records, ascending, and of which of them there are any.

    Given by their position among the usable ones, or by their row, where nobody knows yet which are usable.
    """
    with _opened(part, setup, known) as (_, _, embeddings):
        if not of_rows:
            return np.ones(len(numbers), bool), embeddings.take(numbers)
        assert isinstance(embeddings, LookedUpEmbeddings)
        found = [(rows, block) for rows, block in embeddings.usable(numbers) if len(rows)]
        there = np.isin(numbers, np.concatenate([np.empty(0, np.int64), *(rows for rows, _ in found)]))
        return there, np.concatenate([block for _, block in found]) if found else np.empty((0, 0), np.float32)


def assigned(
    part: Part, setup: Setup, key: Mapping[str, Any], known: Records, centroids: Vectors, trial: Vectors
) -> Assigned:
    """Assign the part's records to centroids; `key` is that of the clusters of the corpus."""
    with _opened(part, setup, known) as (corpus, bad, embeddings):
        done = clustering.assign(embeddings.blocks(), centroids, search=_search(centroids, trial))
        known = replace(known, rows=corpus.row_count(), bad=bad.rows(), places=tuple(bad.places))
        with _work(setup) as work, work.adding("labels", _clusters_of(part, key)) as folder, writing(work.path):
            save_array(folder / "labels.npy", done.labels)
        return Assigned(known, done.nearest, done.nearest_distances, done.cost, done.by_cells)


_made: dict[str, Search] = {}


def _search(centroids: Vectors, trial: Vectors) -> Search:
    """The search for the nearest centroid: a process makes it once, since many centroids take seconds."""
    name = hashlib.blake2b(np.ascontiguousarray(centroids).data, digest_size=16).hexdigest()
    if name not in _made:
        _made.clear()
        with threadpool_limits(1, "blas"):
            _made[name] = clustering.final_search(centroids, trial)
    return _made[name]


def centred(
    part: Part,
    setup: Setup,
    key: Mapping[str, Any],
    known: Records,
    renumbered: npt.NDArray[np.int32],
    centres: Vectors,
) -> OwnPath:
    """Measure the distances to the centres; the folder with the labels and distances.

    `renumbered` says which cluster each centroid is.
    """
    with _opened(part, setup, known) as (_, _, embeddings), _work(setup) as work:
        key = _clusters_of(part, key)
        entry = work.find("clusters", key)
        if entry is None:
            before = work.find("labels", key)
            if before is None:
                raise TitheError(f"{work.path}: lost what this run had written there; run again")
            labels = renumbered[load_array(before / "labels.npy")]

            def labelled() -> Iterator[tuple[Vectors, npt.NDArray[np.int32]]]:
                start = 0
                for block in embeddings.blocks():
                    yield block, labels[start : start + len(block)]
                    start += len(block)

            with threadpool_limits(1, "blas"):
                distances = [np.empty(0, np.float32), *clustering.distances_to(centres, labelled())]
            with work.adding("clusters", key) as folder, writing(work.path):
                save_array(folder / f"{LABELS}.npy", labels)
                save_array(folder / f"{DISTANCES}.npy", np.concatenate(distances))
            entry = work.find("clusters", key)
            assert entry is not None
            drop(before)
        return entry


def taken(place: PlacedPart, rows: Rows, fields: Sequence[str] | None) -> list[Batch]:
    """The records at some overall rows, ascending."""
    corpus = Corpus([place.part.file], place.first_row)
    corpus.remember_rows([place.known.rows])
    return list(corpus.take(rows, fields))


def tokens(part: Part, known: Records, scratch: OwnPath, setup: Setup) -> int:
    """Count the tokens of the records of a part, which are left in its scratch; their sum."""
    corpus = Corpus([part.file])
    corpus.remember_rows([known.rows])
    characters = np.asarray(lengths_in(known.lengths))
    counts = count_tokens(setup.options, corpus, setup.rule, bad_of(known), characters, Stages())
    keep(scratch_of(scratch, part), _COUNTED, counts)
    return int(counts.sum(dtype=np.int64))


def place_tokens(place: PlacedPart, before: Records) -> None:
    """Leave the tokens of those records that turned out usable; `before` is what was known when they were counted."""
    counts = kept(place.scratch, _COUNTED)
    place.keep(TOKENS, but_late(counts, before.bad, place.known.bad))


def summed(place: PlacedPart, task: tuple[Callable[[Vectors], Floats], Setup]) -> Floats | None:
    """The sum of what a function makes of each block of the part's embeddings; None where there are none."""
    function, setup = task
    with _opened(place.part, setup, place.known) as (_, _, embeddings):
        return summed_over(embeddings, function)


def of_vectors(
    place: PlacedPart,
    task: tuple[Callable[[Vectors], Sequence[npt.NDArray[Any]]], Sequence[tuple[str, str]], Setup],
) -> None:
    """Leave quantities, by name and dtype, that a function makes of each block of the part's embeddings."""
    function, names, setup = task
    with _opened(place.part, setup, place.known) as (_, _, embeddings):
        found = list(over_blocks(embeddings, function))
    for number, (quantity, dtype) in enumerate(names):
        values = [block[number] for block in found]
        place.keep(quantity, np.concatenate([np.empty(0), *values]).astype(dtype))


def text_keys(part: Part, setup: Setup, known: Records) -> Keys:
    """A key of each text of a part, shape (m, 16): equal where the texts are, in all parts."""
    with _opened(part, setup, known) as (_, _, embeddings):
        assert isinstance(embeddings, KeptEmbeddings), "there are texts"
        return embeddings.text_keys()


@contextmanager
def _work(setup: Setup) -> Iterator[WorkFolder]:
    with ExitStack() as stores:
        yield WorkFolder(setup.work, True, stores=stores)


@contextmanager
def _opened(part: Part, setup: Setup, known: Records) -> Iterator[tuple[Corpus, BadRecords, Embeddings]]:
    """A part that is embedded, with its embeddings to read."""
    options = setup.options
    bad, corpus = BadRecords(options.on_bad_record), Corpus([part.file])
    bad.remember(known.bad.tolist(), known.places)
    corpus.remember_rows([known.rows])
    with _work(setup) as work:
        if setup.encoder is not None:
            encoder = of_part(setup.encoder, part)
            made = embed(options, corpus, setup.rule, encoder, bad, work, setup.key_of(part), Stages())
        else:
            found = find(options, corpus, bad, work, setup.key_of(part))
            if found is None:
                raise TitheError(f"{work.path}: lost the embeddings of {part}; run again")
            made = found[0]
        yield corpus, bad, made.embeddings


def _known(corpus: Corpus, bad: BadRecords, embedded: Embedded | None = None) -> Records:
    known = Records(corpus.row_count(), bad.rows(), tuple(bad.places))
    if embedded is None:
        return known
    kept = embedded.reused == ("embeddings",)
    lengths = None if embedded.entry is None else embedded.entry / LENGTHS
    return replace(known, encoded=embedded.encoded, kept=kept, lengths=lengths, empty=embedded.empty)


def _clusters_of(part: Part, key: Mapping[str, Any]) -> dict[str, Any]:
    return {**key, "part": name(part)}
