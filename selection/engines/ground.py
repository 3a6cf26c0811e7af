"""The groundwork of a corpus in parts: embeddings and clusters, found or made part by part.

What the process that draws holds of it: the sample that the centroids learn from, centroids and centres, O(k d); a few
numbers for each part; nothing for each record. The sample, and the texts that an encoder learns from, are the records
that one process would choose: encoder, centroids and clusters are the same, but for rounding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from tithe.embedders.base import FittedEncoder, MeasuredEncoder, RecordEncoder
from tithe.selection import clustering
from tithe.selection.bad_records import PLACES_KEPT, BadRecords, Policy
from tithe.selection.cells import SearchQuality
from tithe.selection.clustering import Clustering
from tithe.selection.corpus import Corpus, TextRule
from tithe.selection.embedded import Encoder, read_facts
from tithe.selection.embeddings import Embeddings, drawn
from tithe.selection.encode import usable_values
from tithe.selection.engines import part_work
from tithe.selection.engines.executor import Executor
from tithe.selection.engines.gathered import GatheredCorpus
from tithe.selection.engines.part_work import LENGTHS, ROWS, Assigned, KnownEncoder, PlacedPart, Records, Setup
from tithe.selection.engines.parts import PART_BYTES, Part, cut
from tithe.selection.engines.scattered import DISTANCES, LABELS, ScatteredHome, ScatteredOrder
from tithe.selection.errors import TitheError, UsageError
from tithe.selection.groundwork import Groundwork, clusters_key, embeddings_key, find_centroids, save_array
from tithe.selection.options import Options
from tithe.selection.order import similarity_order
from tithe.selection.per_record import BLOCK, NOBODY
from tithe.selection.reservoir import Reservoir
from tithe.selection.stages import Advance, Stages
from tithe.selection.work.folder import WorkFolder, writing

Rows = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]

_ARRAYS = ("centres", "centre_vectors")


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

    def rows(self, positions: Rows) -> Rows:
        """See Groundwork."""
        return self.home.lookup(ROWS, positions)

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
    return _Laying(options, corpus, rule, encoder, work, digests, stages, executor, cut(corpus.files, part_bytes)).lay()


class _Laying:
    def __init__(
        self,
        options: Options,
        corpus: Corpus,
        rule: TextRule | None,
        encoder: Encoder,
        work: WorkFolder,
        digests: Sequence[str],
        stages: Stages,
        executor: Executor,
        parts: Sequence[Part],
    ) -> None:
        self._options, self._corpus, self._work, self._stages = options, corpus, work, stages
        self._executor, self._parts, self._encoder = executor, parts, encoder
        self._bytes = sum(file.size for file in corpus.files)
        by_record = encoder if isinstance(encoder, RecordEncoder) else None
        if by_record is not None:
            self._acquaint(by_record)
        # Shared before it is asked for its identity, which may mean to load its weights.
        self._shared_encoder = executor.share(encoder)
        key = embeddings_key(options, corpus, rule, self._with_identity(), digests)
        self._key = {**key, "parts": [part_work.name(part) for part in parts]}
        self._setup = Setup(options, rule, by_record, work.path.absolute(), self._key)
        self._shared = executor.share(self._setup)

    def lay(self) -> tuple[Corpus, ScatteredGroundwork]:
        known = self._embedded()
        reused = ["embeddings"] if all(part.kept for part in known) and self._setup.encoder is None else []
        encoded = sum(part.encoded for part in known)
        records = sum(part.rows for part in known)
        if records == 0:
            raise TitheError(f"{self._options.first_input}: the input holds no records")
        plan = self._options.plan(records)
        key = clusters_key(self._key, plan)
        entry = self._work.find("clusters", key)
        loaded = None if entry is None else self._loaded(entry)
        if loaded is None:
            sampled = _Sampled(self._executor, self._parts, self._shared, known, in_place=self._in_place)
            centroids, trial = find_centroids(
                self._options, records, plan, cast(Embeddings, sampled), self._work, key, self._stages
            )
            loaded = self._clustered(key, known, centroids, trial)
        else:
            reused.append("clusters")
        places, clusters = loaded
        home = ScatteredHome(self._executor, places)
        known = [place.known for place in places]
        ground = ScatteredGroundwork(
            self._setup.rule,
            CountedBadRecords(self._options.on_bad_record, known),
            self._identity,
            plan.limited_to(home.records),
            cast(Embeddings, None),  # no method that looks at all embeddings works on parts
            replace(
                clusters,
                labels=cast(Any, home.quantity(LABELS)),
                squared_distances=cast(Any, home.quantity(DISTANCES)),
            ),
            cast(Any, home.quantity(LENGTHS)) if self._setup.encoder is None else None,
            None,
            encoded,
            tuple(reused),
            home=home,
        )
        return GatheredCorpus(self._corpus, self._executor, places), ground

    @property
    def _in_place(self) -> bool:
        """Whether vectors are read where they lie, so that nobody knows which are usable before they are assigned."""
        return self._setup.encoder is not None and self._corpus.schema is not None

    def _acquaint(self, encoder: RecordEncoder) -> None:
        """Let the encoder see the first usable record, whose vector says how long all are."""
        if isinstance(encoder, MeasuredEncoder) or encoder.rows is not None:
            raise UsageError(
                f"--engine ray: --encoder {self._options.encoder} must see all records in one process; column: need not"
            )
        bad = BadRecords(self._options.on_bad_record)
        for batch in self._corpus.batches(encoder.fields):
            if usable_values(batch, bad, encoder.fields, encoder.lookup) is not None:
                return

    def _with_identity(self) -> Encoder:
        """The encoder as the key of the embeddings wants it: a neural one is loaded by a worker, never here."""
        encoder = self._encoder
        if isinstance(encoder, RecordEncoder | FittedEncoder):
            self._identity: Mapping[str, Any] = dict(encoder.identity()) if isinstance(encoder, RecordEncoder) else {}
            return encoder
        asked = [(part,) for part in self._parts[:1]]
        found = self._executor.with_workers(self._shared_encoder, part_work.identity, asked)
        self._identity = dict(next(iter(dict(found).values()), {}))
        return KnownEncoder(encoder, self._identity)

    # Embeddings.

    def _embedded(self) -> list[Records]:
        encoder, rule = self._encoder, self._setup.rule
        if isinstance(encoder, RecordEncoder):
            with self._stages("embed", self._bytes, "bytes") as advance:
                return self._over_parts(
                    part_work.embedded, [(self._shared_encoder, self._shared)] * self._count, advance
                )
        assert rule is not None
        with self._stages("check", self._bytes, "bytes") as advance:
            found = self._over_parts(part_work.found_embedded, [(self._shared,)] * self._count, advance)
        missing = [number for number, known in enumerate(found) if known is None]
        ready = self._shared_encoder
        if isinstance(encoder, FittedEncoder):
            if missing:
                self._fit(encoder)
                self._identity = dict(encoder.identity())
                ready = self._executor.share(encoder)
            else:
                self._identity = self._over_parts(part_work.kept_identity, [(self._shared,)], lambda count: None)[0]
        with self._stages("embed", self._bytes, "bytes") as advance:
            calls = [(self._parts[number], self._shared, self._identity) for number in missing]
            for number, known in self._executor.with_workers(ready, part_work.embedded_by, calls):
                found[missing[number]] = known
                advance(self._size(missing[number]))
        return found

    def _fit(self, encoder: FittedEncoder) -> None:
        """Let the encoder learn from the texts that one process would show it, in their order."""
        seed = self._options.cluster_seed
        with self._stages("fit", self._bytes, "bytes") as advance:
            counted: list[Records] = self._over_parts(part_work.counted, [(self._shared,)] * self._count, advance)
            starts = np.cumsum([0, *(known.usable for known in counted)])
            sample: Reservoir[int] = Reservoir(encoder.fit_records, np.random.default_rng(seed))
            for start in range(0, int(starts[-1]), BLOCK):
                sample.extend(range(start, min(start + BLOCK, int(starts[-1]))))
            numbers = np.array(sample.items, np.int64)
            order = np.argsort(numbers)
            edges = np.searchsorted(numbers[order], starts)
            calls = [
                (part, self._shared, known, numbers[order[low:high]] - start, encoder.fit_characters)
                for part, known, start, low, high in zip(
                    self._parts, counted, starts[:-1].tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True
                )
                if low < high
            ]
            found = [text for texts in self._executor.map(part_work.texts, calls) for text in texts]
            learnt = [""] * len(found)
            for at, text in zip(order.tolist(), found, strict=True):
                learnt[at] = text
            encoder.fit(learnt, seed=seed)

    # Clusters.

    def _clustered(
        self, key: Mapping[str, Any], known: list[Records], centroids: Vectors, trial: Vectors
    ) -> tuple[list[PlacedPart], Clustering]:
        executor = self._executor
        shared_key, *arrays = (executor.share(value) for value in (key, centroids, trial))
        k = len(centroids)
        best, owners, nearest = np.full(k, np.inf, np.float32), np.full(k, -1, np.int64), np.full(k, -1, np.int64)
        cost, by_cells = 0.0, False
        with self._stages("assign", self._bytes, "bytes") as advance:
            calls = [
                (part, self._shared, shared_key, was, *arrays) for part, was in zip(self._parts, known, strict=True)
            ]
            known = []
            found: Assigned
            for number, found in enumerate(executor.map(part_work.assigned, calls)):
                better = found.distances < best
                best[better], owners[better], nearest[better] = found.distances[better], number, found.nearest[better]
                cost += found.cost
                by_cells |= found.by_cells
                known.append(found.records)
                advance(self._size(number))
        kept = np.flatnonzero(owners >= 0)
        if len(kept) == 0:
            raise TitheError(f"{self._options.first_input}: none of the records can be used")
        renumbered = np.full(k, -1, np.int32)
        renumbered[kept] = np.arange(len(kept), dtype=np.int32)
        starts = np.cumsum([0, *(part.usable for part in known)])
        centres = starts[owners[kept]] + nearest[kept]
        vectors = self._vectors(known, starts, centres)
        with self._stages("distances", self._bytes, "bytes") as advance:
            shared = (executor.share(renumbered), executor.share(vectors))
            calls = [
                (part, self._shared, shared_key, was, *shared) for part, was in zip(self._parts, known, strict=True)
            ]
            folders = []
            for number, folder in enumerate(executor.map(part_work.centred, calls)):
                folders.append(folder)
                advance(self._size(number))
        places = self._placed(known, folders)
        quality = None
        if by_cells:
            checked = clustering.looked_up_at_random(int(starts[-1]))
            labels = ScatteredHome(executor, places).lookup(LABELS, checked)
            quality = SearchQuality.of(self._vectors(known, starts, checked), centroids, kept[labels].astype(np.int32))
        nothing = np.empty(0, np.int32)
        clusters = Clustering(nothing, np.empty(0, np.float32), centres, vectors, cost, quality)
        self._keep(key, clusters, places)
        return places, clusters

    def _vectors(self, known: Sequence[Records], starts: Rows, positions: Rows) -> Vectors:
        """The vectors of some records, in any order."""
        owners = np.searchsorted(starts, positions, side="right") - 1
        order = np.lexsort((positions, owners))
        numbers, firsts = np.unique(owners[order], return_index=True)
        groups = np.split(order, firsts[1:])
        calls = [
            (self._parts[number], self._shared, known[number], positions[group] - starts[number], False)
            for number, group in zip(numbers.tolist(), groups, strict=True)
        ]
        found: Vectors | None = None
        for group, (_, block) in zip(groups, self._executor.map(part_work.vectors, calls), strict=True):
            if found is None:
                found = np.empty((len(positions), block.shape[1]), np.float32)
            found[group] = block
        assert found is not None, "there is a record at least"
        return found

    def _placed(self, known: Sequence[Records], folders: Sequence[str]) -> list[PlacedPart]:
        places: list[PlacedPart] = []
        start = first_row = 0
        for part, was, folder in zip(self._parts, known, folders, strict=True):
            places.append(PlacedPart(part, start, first_row, was, folder))
            start, first_row = start + was.usable, first_row + was.rows
        return places

    def _keep(self, key: Mapping[str, Any], clusters: Clustering, places: Sequence[PlacedPart]) -> None:
        """Leave the clusters for later runs."""
        with self._work.adding("clusters", key) as folder, writing(self._work.path):
            for name in _ARRAYS:
                save_array(folder / f"{name}.npy", getattr(clusters, name))
            facts = {
                "cost": clusters.cost,
                "search": clusters.search and asdict(clusters.search),
                "parts": [
                    {**asdict(place.known), "bad": place.known.bad.tolist(), "folder": Path(place.folder).name}
                    for place in places
                ],
            }
            part_work.save_facts(folder, facts)

    def _loaded(self, entry: Path) -> tuple[list[PlacedPart], Clustering] | None:
        """What `_keep` left, unless a part of it is gone."""
        facts = read_facts(entry)
        known, folders = [], []
        for part in facts["parts"]:
            folder = self._work.path.absolute() / part.pop("folder")
            if not folder.is_dir():
                return None
            folders.append(str(folder))
            known.append(Records(**{**part, "bad": np.array(part["bad"], np.int64), "places": tuple(part["places"])}))
        centres, vectors = (np.load(entry / f"{name}.npy", allow_pickle=False) for name in _ARRAYS)
        search = facts["search"] and SearchQuality(**facts["search"])
        clusters = Clustering(
            np.empty(0, np.int32), np.empty(0, np.float32), centres, vectors, cost=facts["cost"], search=search
        )
        return self._placed(known, folders), clusters

    # Calls.

    @property
    def _count(self) -> int:
        return len(self._parts)

    def _size(self, number: int) -> int:
        """Bytes of a part, about: for the progress."""
        return self._bytes // self._count

    def _over_parts(self, function: Any, arguments: Sequence[tuple[Any, ...]], advance: Advance) -> list[Any]:
        calls = [(part, *others) for part, others in zip(self._parts, arguments, strict=False)]
        found = []
        for number, result in enumerate(self._executor.map(function, calls)):
            found.append(result)
            advance(self._size(number))
        return found


@dataclass(frozen=True)
class _Sampled:
    """The embeddings of all parts, to draw a sample from; see Embeddings.sample."""

    executor: Executor
    parts: Sequence[Part]
    setup: Any
    known: Sequence[Records]
    in_place: bool

    def sample(self, size: int, rng: np.random.Generator, advance: Advance) -> Vectors:
        counts = [known.rows if self.in_place else known.usable for known in self.known]
        starts = np.cumsum([0, *counts])
        numbers, places = drawn(int(starts[-1]), size, rng)
        edges = np.searchsorted(numbers, starts)
        spans = [(part, low, high) for part, (low, high) in enumerate(pairwise(edges.tolist())) if low < high]
        calls = (
            (self.parts[part], self.setup, self.known[part], numbers[low:high] - starts[part], self.in_place)
            for part, low, high in spans
        )
        out, found = np.empty((0, 0), np.float32), np.zeros(len(numbers), bool)
        for (part, low, high), (there, block) in zip(spans, self.executor.map(part_work.vectors, calls), strict=True):
            if len(block):
                if not out.size:
                    out = np.empty((len(numbers), block.shape[1]), np.float32)
                targets = places[low:high][there]
                out[targets] = block
                found[targets] = True
            advance(counts[part])
        return out if found.all() else out[found]
