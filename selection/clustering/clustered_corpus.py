"""What does not depend on losses: embeddings and clusters. Made once, and found again in the work folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tithe.selection.arrays import Column, Floats, Vectors
from tithe.selection.clustering import assigning, kmeans
from tithe.selection.clustering.cells import SearchQuality
from tithe.selection.clustering.kmeans import Assignment, Centres, Clustering
from tithe.selection.clustering.order import Order, sampling_order
from tithe.selection.corpus.bad_records import BadRecords
from tithe.selection.corpus.corpus import Corpus
from tithe.selection.corpus.text import TextRule
from tithe.selection.corpus.tokens import Counting, but_late
from tithe.selection.embedding import partition_work
from tithe.selection.embedding.embed_corpus import CorpusEmbeddings, embed_corpus
from tithe.selection.embedding.lookup import Embedded, Embedding, Encoder, read_facts, write_facts
from tithe.selection.embedding.remote_corpus import RemoteCorpus
from tithe.selection.embedding.work_folder import WorkFolder
from tithe.selection.engine import blas
from tithe.selection.engine.columns import ColumnWriter, column_of
from tithe.selection.engine.executor import Executor
from tithe.selection.engine.quantities import NOBODY
from tithe.selection.engine.seeds import Stream, generator
from tithe.selection.engine.stages import Stages
from tithe.selection.errors import TitheError
from tithe.selection.options.options import Options
from tithe.selection.options.plan import Plan
from tithe.selection.storage.npy import load_array, map_array, save_array
from tithe.selection.storage.own_files import OwnPath
from tithe.selection.storage.writing import writing

_CENTROIDS = ("centroids", "trial")
_COLUMNS = ("labels", "squared_distances")
_CENTRES = ("centres", "centre_vectors")


@dataclass(frozen=True)
class ClusteredCorpus:
    """The usable records of a corpus, clustered."""

    rule: TextRule | None
    bad: BadRecords
    plan: Plan
    embeddings: CorpusEmbeddings
    clusters: Clustering
    tokens: Column | None
    """Tokens of each record, shape (n,), where the budget is one of tokens."""
    reused: tuple[str, ...]
    """What was found in the work folder."""

    @property
    def records(self) -> int:
        """Usable records, n."""
        return len(self.clusters.labels)

    @property
    def encoder(self) -> Mapping[str, Any]:
        """The encoder's identity."""
        return self.embeddings.identity

    @property
    def encoded(self) -> int:
        """Texts that the encoder was given in this run."""
        return self.embeddings.encoded

    @property
    def empty(self) -> int:
        """Records whose text is empty."""
        return self.embeddings.empty

    @cached_property
    def lengths(self) -> Column | None:
        """Characters of each record's text, shape (n,); None where the encoder reads no text."""
        return self.embeddings.lengths()

    @cached_property
    def texts(self) -> Column:
        """A number of each record's text, shape (n,): equal where the texts are."""
        return self.embeddings.text_keys()

    def rows(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The overall rows of usable records."""
        return self.bad.overall_rows(positions)

    def positions(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Where the usable records are among some overall rows, ascending."""
        return self.bad.positions(np.setdiff1d(rows, self.bad.rows()))

    def vectors(self, positions: npt.NDArray[np.int64]) -> Vectors:
        """The embeddings of the records at `positions`, ascending; shape (len(positions), d)."""
        return self.embeddings.take(positions)

    def summed(self, function: Callable[..., Floats], *columns: Column) -> Floats:
        """The sum of what a function makes of each block of the embeddings, and of the same records of columns."""
        return self.embeddings.summed(function, *columns)

    def of_vectors(
        self, function: Callable[[Vectors], Sequence[npt.NDArray[Any]]], dtypes: Sequence[str]
    ) -> list[Column]:
        """Columns that a function makes of each block of the embeddings, one of each dtype."""
        return self.embeddings.measured(function, dtypes)

    @cached_property
    def order(self) -> Order:
        """The order in which records are drawn, shape (n,): neighbours in it are alike."""
        return sampling_order(self.clusters)


def cluster_corpus(
    options: Options,
    corpus: Corpus,
    rule: TextRule | None,
    encoder: Encoder,
    work: WorkFolder,
    digests: Sequence[str],
    stages: Stages,
    executor: Executor,
) -> tuple[Corpus, ClusteredCorpus]:
    """Embed and cluster a corpus, or find in `work` what an earlier run made of the same content.

    `digests` are the SHA-256 of the input files. The corpus comes back, to take records from. Raises TitheError where
    no record can be used.
    """
    about = Embedding(
        work,
        rule,
        policy=options.on_bad_record,
        normalize=options.unit_length,
        dtype=options.kept_as,
        seed=options.cluster_seed,
        max_record_size=options.max_record_size,
        encoder=options.encoder,
    )
    embeddings = embed_corpus(about, corpus, encoder, digests, stages, executor)
    corpus.remember_rows(embeddings.file_rows(len(corpus.files)))
    records = corpus.row_count()
    if records == 0:
        raise TitheError(f"{options.first_input}: the input holds no records")
    tokens, mean, bad_before = None, None, NOBODY
    if options.tokens is not None:
        tokens = _tokens(options, embeddings, stages)
        mean = float(tokens.mean(dtype=np.float64)) if len(tokens) else 1.0
        bad_before = embeddings.bad_records(options.on_bad_record).rows()
    plan = options.plan(records, mean)
    key = {"embeddings": dict(embeddings.key), "clusters": plan.clusters, "blas": blas.description()}
    entry = work.find("clusters", key)
    found = None if entry is None else _load_clusters(entry, embeddings)
    embeddings, clusters = found or _cluster(options, records, plan, embeddings, work, key, stages)
    bad = embeddings.bad_records(options.on_bad_record)
    clustered = ClusteredCorpus(
        rule=rule,
        bad=bad,
        plan=plan.limited_to(len(clusters.labels)),
        embeddings=embeddings,
        clusters=clusters,
        tokens=None if tokens is None else but_late(tokens, bad_before, bad.rows()),
        reused=(*embeddings.reused, *(["clusters"] if found else [])),
    )
    return RemoteCorpus(corpus, embeddings) if executor.remote else corpus, clustered


def find_centroids(
    options: Options,
    records: int,
    plan: Plan,
    embeddings: CorpusEmbeddings,
    work: WorkFolder,
    key: Mapping[str, Any],
    stages: Stages,
) -> tuple[Vectors, Vectors]:
    """Centroids of the clusters, and some points to try a search with; `key` is that of the clusters.

    An entry of their own: to train centroids may take longer than all the rest.
    """
    entry = work.find("centroids", key)
    if entry is not None:
        centroids, trial = (load_array(entry / f"{name}.npy") for name in _CENTROIDS)
        return centroids, trial
    with stages("draw training points", records) as advance:
        rng = generator(options.cluster_seed, Stream.TRAINING)
        points = embeddings.sample(kmeans.training_points(plan.clusters), rng, advance)
    if len(points) == 0:
        raise TitheError(f"{options.first_input}: none of its records ({records:,}) can be used")
    k = min(plan.clusters, len(points))
    with stages("train", kmeans.training_visits(len(points), k)) as advance:
        centroids = kmeans.train(points, k, seed=options.cluster_seed, advance=advance)
    found = centroids, points[: kmeans.TRIAL].copy()
    with work.adding("centroids", key) as folder, writing(work.path):
        for name, array in zip(_CENTROIDS, found, strict=True):
            save_array(folder / f"{name}.npy", array)
    return found


def _cluster(
    options: Options,
    records: int,
    plan: Plan,
    embeddings: CorpusEmbeddings,
    work: WorkFolder,
    key: Mapping[str, Any],
    stages: Stages,
) -> tuple[CorpusEmbeddings, Clustering]:
    """Cluster what is embedded, and keep it; with it come the embeddings of which it is known which are usable."""
    executor = embeddings.executor
    centroids, trial = find_centroids(options, records, plan, embeddings, work, key, stages)
    labels, known = ColumnWriter(np.int32), list[Embedded]()
    nearest = Centres.of(centroids)
    with stages("assign", records) as advance:
        shared = executor.share(centroids), executor.share(trial)
        calls = ((task, was, *shared) for task, was in zip(embeddings.tasks, embeddings.known, strict=True))
        found: tuple[Embedded, Assignment]
        for found in executor.map(assigning.assign, calls, advance, lambda found: len(found[1].labels)):
            nearest.take(found[1])
            labels.append(found[1].labels)
            known.append(found[0])
    assigned = labels.column()
    if len(assigned) == 0:
        raise TitheError(f"{options.first_input}: none of its records ({records:,}) can be used")
    embeddings = replace(embeddings, known=known, all_known=True)
    kept, numbers = nearest.kept, nearest.numbers
    labels, distances, starts = ColumnWriter(np.int32), ColumnWriter(np.float32), embeddings.starts
    with stages("distances", records) as advance:
        centres = executor.share(nearest.vectors[kept])

        def calls_with_labels() -> Any:
            for number, (task, was) in enumerate(zip(embeddings.tasks, known, strict=True)):
                label = numbers[assigned[starts[number] : starts[number + 1]]]
                labels.append(label)
                yield task, was, label, centres

        for found_distances in executor.map(assigning.distances, calls_with_labels(), advance, len):
            distances.append(found_distances)
    quality = None
    if nearest.by_cells:
        checked = kmeans.looked_up_at_random(len(assigned))
        quality = SearchQuality.of(embeddings.take(checked), centroids, np.asarray(assigned[checked]))
    clusters = Clustering(
        labels.column(), distances.column(), nearest.positions[kept], nearest.vectors[kept], nearest.cost, quality
    )
    with work.adding("clusters", key) as folder, writing(work.path):
        for name in (*_COLUMNS, *_CENTRES):
            save_array(folder / f"{name}.npy", getattr(clusters, name))
        facts = {"cost": clusters.cost, "search": quality and asdict(quality)}
        write_facts(folder, embeddings.bad_records(options.on_bad_record), facts)
    return embeddings, clusters


def _load_clusters(entry: OwnPath, embeddings: CorpusEmbeddings) -> tuple[CorpusEmbeddings, Clustering]:
    """What `_cluster` kept; with it come the embeddings of which it is known which are usable."""
    facts = read_facts(entry)
    labels, distances = (map_array(entry / f"{name}.npy") for name in _COLUMNS)
    centres, vectors = (load_array(entry / f"{name}.npy") for name in _CENTRES)
    search = facts["search"] and SearchQuality(**facts["search"])
    clusters = Clustering(labels, distances, centres, vectors, cost=facts["cost"], search=search)
    return embeddings.with_bad(np.array(facts["bad_rows"], np.int64), facts["bad_places"]), clusters


def _tokens(options: Options, embeddings: CorpusEmbeddings, stages: Stages) -> Column:
    counting = Counting(options.token_column, options.tokenizer)
    if counting.estimates:
        return column_of(embeddings.over_all(partition_work.tokens, counting), np.uint32)
    with stages("tokens", int(embeddings.starts[-1])) as advance:
        return column_of(embeddings.over_all(partition_work.tokens, counting, advance=advance), np.uint32)
