"""The groundwork of a corpus in parts: embeddings and clusters, found or made part by part.

What the process that draws holds of it: the sample that the centroids learn from, centroids and centres, O(k d); a few
numbers for each part; nothing for each record. The sample, and the texts that an encoder learns from, are the records
that one process would choose: encoder, centroids and clusters are the same, but for rounding.
"""

from __future__ import annotations

import operator
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from tithe.embedders.base import FittedEncoder, MeasuredEncoder, RecordEncoder
from tithe.selection.bad_records import PLACES_KEPT, BadRecords, Policy
from tithe.selection.corpus import Corpus, TextRule
from tithe.selection.embedded import Encoder
from tithe.selection.encode import usable_values
from tithe.selection.engines import part_facts, part_work
from tithe.selection.engines.cluster_order import ScatteredOrder
from tithe.selection.engines.crew import Crew
from tithe.selection.engines.duplicates import copies_in_parts
from tithe.selection.engines.executor import Executor
from tithe.selection.engines.gathered import GatheredCorpus
from tithe.selection.engines.laying_clusters import lay_clusters
from tithe.selection.engines.laying_embeddings import ScatteredEmbeddings, lay_embeddings
from tithe.selection.engines.part_facts import LENGTHS, ROWS, TOKENS, PlacedPart, Records, Setup
from tithe.selection.engines.part_work import KnownEncoder
from tithe.selection.engines.parts import PART_BYTES, Part, cut
from tithe.selection.engines.scattered import DISTANCES, LABELS, ScatteredHome
from tithe.selection.errors import TitheError, UsageError
from tithe.selection.frame.candidates import Candidates
from tithe.selection.groundwork import Groundwork, clusters_key, embeddings_key
from tithe.selection.options import Options
from tithe.selection.order import similarity_order
from tithe.selection.per_record import NOBODY, PerRecord
from tithe.selection.sizes import counted
from tithe.selection.stages import Stages
from tithe.selection.work.folder import WorkFolder

Rows = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]


class CountedBadRecords(BadRecords):
    """Bad records of which only the number is known here, and the first places."""

    def __init__(self, policy: Policy, known: Sequence[Records]) -> None:
        super().__init__(policy, [place for part in known for place in part.places][:PLACES_KEPT])
        self._count = sum(len(part.bad) for part in known)

    def __len__(self) -> int:
        return self._count

    def rows(self) -> Rows:
        """None: the parts know them."""
        return NOBODY


@dataclass(frozen=True)
class ScatteredGroundwork(Groundwork):
    """A Groundwork whose quantities of records lie with the parts."""

    home: ScatteredHome = field(kw_only=True)
    places: Sequence[PlacedPart] = field(kw_only=True)

    def rows(self, positions: Rows) -> Rows:
        """See Groundwork."""
        return self.home.lookup(ROWS, positions)

    def positions(self, rows: Rows) -> Rows:
        """See Groundwork."""
        ends = [place.first_row + place.known.rows for place in self.places]
        spans = pairwise([0, *np.searchsorted(rows, ends).tolist()])
        return np.concatenate(
            [place.positions(rows[low:high]) for place, (low, high) in zip(self.places, spans, strict=True)]
        )

    def summed(self, function: Callable[[Vectors], Floats]) -> Floats:
        """See Groundwork."""
        found = self.home.in_all_parts(part_work.summed, (function, self._setup))
        return reduce(operator.add, (part for part in found if part is not None))

    def of_vectors(
        self, function: Callable[[Vectors], Sequence[npt.NDArray[Any]]], dtypes: Sequence[str], folder: Path | None
    ) -> Sequence[PerRecord]:
        """See Groundwork."""
        mark = secrets.token_hex(4)
        names = [f"{mark}-{number}" for number in range(len(dtypes))]
        self.home.in_all_parts(part_work.of_vectors, (function, tuple(zip(names, dtypes, strict=True)), self._setup))
        return [self.home.quantity(name) for name in names]

    def copies(self, candidates: Candidates, preferred: Rows) -> PerRecord:
        """See Groundwork."""
        return copies_in_parts(self.home, self._setup, candidates, preferred)

    @property
    def _setup(self) -> Setup:
        assert isinstance(self.embeddings, ScatteredEmbeddings)
        return self.embeddings.crew.setup

    @cached_property
    def order(self) -> Any:
        """See `line`."""
        ranks = np.empty(self.clusters.k, np.int64)
        ranks[similarity_order(self.clusters.centre_vectors)] = np.arange(self.clusters.k)
        return ScatteredOrder(self.home, ranks)


def lay_in_parts(
    options: Options,
    corpus: Corpus,
    rule: TextRule | None,
    encoder: Encoder,
    work: WorkFolder,
    digests: Sequence[str],
    stages: Stages,
    executor: Executor,
    part_bytes: int = PART_BYTES,
) -> tuple[Corpus, ScatteredGroundwork]:
    """Embed and cluster a corpus part by part; see `groundwork.lay`. With it comes the corpus to take records from."""
    parts = cut(corpus.files, part_bytes)
    by_record = encoder if isinstance(encoder, RecordEncoder) else None
    if by_record is not None:
        parts = _acquainted(options, corpus, by_record, parts, executor)
    # Shared before it is asked for its identity, which may mean to load its weights.
    shared = executor.share(encoder)
    known_encoder, identity = _identified(encoder, shared, parts, executor)
    key = embeddings_key(options, corpus, rule, known_encoder, digests)
    key = {**key, "parts": [part_facts.name(part) for part in parts]}
    setup = Setup(options, rule, by_record, work.path.absolute(), key)
    crew = Crew(executor, parts, setup, executor.share(setup), sum(file.size for file in corpus.files))

    known, identity = lay_embeddings(options, crew, encoder, shared, identity, stages)
    records = sum(part.rows for part in known)
    if records == 0:
        raise TitheError(f"{options.first_input}: the input holds no records")
    mean = None
    if options.tokens is not None:
        mean = _count_tokens(crew, known, work, stages) / max(sum(part.usable for part in known), 1)
    plan = options.plan(records, mean)
    in_place = by_record is not None and corpus.schema is not None
    embeddings = ScatteredEmbeddings(crew, known, in_place)
    laid = lay_clusters(options, crew, embeddings, plan, work, clusters_key(key, plan), stages)

    home = ScatteredHome(executor, laid.places, work.scratch)
    if options.tokens is not None:
        for _ in home.over_parts(part_work.place_tokens, enumerate((was,) for was in known)):
            pass
    reused = ["embeddings"] if all(part.kept for part in known) and by_record is None else []
    placed = [place.known for place in laid.places]
    ground = ScatteredGroundwork(
        rule,
        CountedBadRecords(options.on_bad_record, placed),
        identity,
        plan.limited_to(home.records),
        embeddings.knowing(placed),
        replace(
            laid.clusters,
            labels=cast(Any, home.quantity(LABELS)),
            squared_distances=cast(Any, home.quantity(DISTANCES)),
        ),
        cast(Any, home.quantity(LENGTHS)) if by_record is None else None,
        cast(Any, home.quantity(TOKENS)) if options.tokens is not None else None,
        sum(part.encoded for part in known),
        (*reused, *(["clusters"] if laid.found else [])),
        sum(part.empty for part in known),
        home=home,
        places=laid.places,
    )
    return GatheredCorpus(corpus, executor, laid.places), ground


def _acquainted(
    options: Options, corpus: Corpus, encoder: RecordEncoder, parts: Sequence[Part], executor: Executor
) -> Sequence[Part]:
    """The parts as an encoder that looks vectors up must know them; and it sees what it must of the records.

    That is the first usable record, whose vector says how long all are, or where among all records each part begins.
    """
    if isinstance(encoder, MeasuredEncoder):
        raise UsageError(f"--engine ray: --encoder {options.encoder} must see all records in one process")
    if encoder.rows is None:
        bad = BadRecords(options.on_bad_record)
        for batch in corpus.batches(encoder.fields):
            if usable_values(batch, bad, encoder.fields, encoder.lookup) is not None:
                break
        return parts
    rows = list(executor.map(part_work.rows_of, ((part,) for part in parts)))
    if sum(rows) != encoder.rows:
        held, records = counted(encoder.rows or 0, "row"), counted(sum(rows), "record")
        raise TitheError(f"--encoder {options.encoder}: holds {held}, but the corpus {records}")
    firsts = np.cumsum(rows) - rows
    return [replace(part, first_row=first) for part, first in zip(parts, firsts.tolist(), strict=True)]


def _identified(
    encoder: Encoder, shared: Any, parts: Sequence[Part], executor: Executor
) -> tuple[Encoder, Mapping[str, Any]]:
    """The encoder as the key of the embeddings wants it, and its identity: a neural one is loaded by a worker, never
    here; one that learns has none yet."""
    if isinstance(encoder, RecordEncoder):
        return encoder, dict(encoder.identity())
    if isinstance(encoder, FittedEncoder):
        return encoder, {}
    found = executor.with_workers(shared, part_work.identity, [(part,) for part in parts[:1]])
    identity = dict(next(iter(dict(found).values()), {}))
    return KnownEncoder(encoder, identity), identity


def _count_tokens(crew: Crew, known: Sequence[Records], work: WorkFolder, stages: Stages) -> int:
    """The tokens of all parts, which are left in their scratch."""
    found = 0
    with stages("tokens", crew.bytes, "bytes") as advance:
        calls = ((part, was, work.scratch, crew.shared) for part, was in zip(crew.parts, known, strict=True))
        for number, tokens in enumerate(crew.executor.map(part_work.tokens, calls)):
            found += tokens
            advance(crew.share_of(number))
    return found
