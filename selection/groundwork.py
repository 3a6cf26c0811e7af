"""What does not depend on losses: embeddings and clusters. Laid once, and found again in the work folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tithe.embedders.base import FittedEncoder, RecordEncoder
from tithe.selection import blas, clustering
from tithe.selection.bad_records import BadRecords
from tithe.selection.cells import SearchQuality
from tithe.selection.clustering import Clustering
from tithe.selection.corpus import Corpus, TextRule, check_field, choose_rule
from tithe.selection.embedded import Encoder, embed, read_facts, write_facts
from tithe.selection.embeddings import Embeddings, KeptEmbeddings, over_blocks, summed_over
from tithe.selection.errors import TitheError, UsageError
from tithe.selection.frame.candidates import Candidates
from tithe.selection.frame.duplicates import copies_of
from tithe.selection.losses import runs_model
from tithe.selection.options import Options
from tithe.selection.order import Order, sampling_order
from tithe.selection.own_files import OwnPath
from tithe.selection.per_record import NOBODY, PerRecord
from tithe.selection.plan import Plan
from tithe.selection.spilled import Spilled
from tithe.selection.stages import Stages
from tithe.selection.streams import Stream, generator
from tithe.selection.tokens import but_late, count_tokens
from tithe.selection.work.arrays import load_array, save_array
from tithe.selection.work.folder import WorkFolder, writing

Vectors = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

# Changes when the same key would give other embeddings or clusters, or an entry holds other facts.
_VERSION = 4

_CENTROIDS = ("centroids", "trial")
_ARRAYS = ("labels", "squared_distances", "centres", "centre_vectors")


@dataclass(frozen=True)
class Groundwork:
    """The usable records of a corpus, clustered."""

    rule: TextRule | None
    bad: BadRecords
    encoder: Mapping[str, Any]
    """The encoder's identity."""
    plan: Plan
    embeddings: Embeddings
    clusters: Clustering
    lengths: npt.NDArray[np.uint32] | None
    """Characters of each record's text, shape (n,); None where the encoder reads no text."""
    tokens: npt.NDArray[np.uint32] | None
    """Tokens of each record, shape (n,), where the budget is one of tokens."""
    encoded: int
    """Texts that the encoder was given in this run."""
    reused: tuple[str, ...]
    """What was found in the work folder."""
    empty: int
    """Records whose text is empty."""

    def rows(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The overall rows of usable records."""
        return self.bad.overall_rows(positions)

    def positions(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Where the usable records are among some overall rows, ascending."""
        return self.bad.positions(np.setdiff1d(rows, self.bad.rows()))

    def vectors(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """The embeddings of the records at `positions`, ascending; shape (len(positions), d)."""
        return self.embeddings.take(positions)

    def summed(self, function: Callable[[Vectors], Floats]) -> Floats:
        """The sum of what a function makes of each block of the embeddings."""
        found = summed_over(self.embeddings, function)
        assert found is not None, "there is a record at least"
        return found

    def of_vectors(
        self, function: Callable[[Vectors], Sequence[npt.NDArray[Any]]], dtypes: Sequence[str], folder: Path | None
    ) -> Sequence[PerRecord]:
        """Quantities of records that a function makes of each block of the embeddings, one of each dtype: on disk, in
        `folder` where all records are at hand; to be had at ascending positions."""
        found = [Spilled(dtype, folder) for dtype in dtypes]
        for block in over_blocks(self.embeddings, function):
            for quantity, values in zip(found, block, strict=True):
                quantity.append(values)
        return found

    def copies(self, candidates: Candidates, preferred: npt.NDArray[np.int64]) -> PerRecord:
        """How many candidates have the text of each record that stays; see `copies_of`."""
        assert isinstance(self.embeddings, KeptEmbeddings), "there are texts"
        return copies_of(self.embeddings.texts, candidates, preferred)

    @cached_property
    def order(self) -> Order:
        """The order in which records are drawn, shape (n,): neighbours in it are alike."""
        return sampling_order(self.clusters)


def lay(
    options: Options,
    corpus: Corpus,
    rule: TextRule | None,
    encoder: Encoder,
    work: WorkFolder,
    digests: Sequence[str],
    stages: Stages,
) -> Groundwork:
    """Embed and cluster a corpus, or find in `work` what an earlier run made of the same content.

    `digests` are the SHA-256 of the input files. Raises TitheError where no record can be used.
    """
    bad = BadRecords(options.on_bad_record)
    key = embeddings_key(options, corpus, rule, encoder, digests)
    embedded = embed(options, corpus, rule, encoder, bad, work, key, stages)
    records = corpus.row_count()
    if records == 0:
        raise TitheError(f"{options.first_input}: the input holds no records")
    tokens, mean, bad_before = None, None, NOBODY
    if options.tokens is not None:
        tokens = count_tokens(options, corpus, rule, bad, embedded.lengths, stages)
        mean = float(tokens.mean(dtype=np.float64)) if len(tokens) else 1.0
        bad_before = bad.rows()
    plan = options.plan(records, mean)
    key = clusters_key(key, plan)
    entry = work.find("clusters", key)
    clusters = None if entry is None else _load_clusters(entry, bad)
    if clusters is None:
        centroids, trial = find_centroids(options, records, plan, embedded.embeddings, work, key, stages)
        with stages("assign", records) as advance:
            assignment = clustering.assign(embedded.embeddings.blocks(), centroids, trial, advance=advance)
        with stages("distances", records) as advance:
            clusters = clustering.centred(assignment, embedded.embeddings.blocks(), advance=advance)
        with work.adding("clusters", key) as folder, writing(work.path):
            for name in _ARRAYS:
                save_array(folder / f"{name}.npy", getattr(clusters, name))
            write_facts(folder, bad, {"cost": clusters.cost, "search": clusters.search and asdict(clusters.search)})
    reused = [*embedded.reused, *(["clusters"] if entry is not None else [])]
    return Groundwork(
        rule,
        bad,
        embedded.encoder,
        plan.limited_to(len(clusters.labels)),
        embedded.embeddings,
        clusters,
        embedded.lengths,
        None if tokens is None else but_late(tokens, bad_before, bad.rows()),
        embedded.encoded,
        tuple(reused),
        embedded.empty,
    )


def embeddings_key(
    options: Options, corpus: Corpus, rule: TextRule | None, encoder: Encoder, digests: Sequence[str]
) -> dict[str, Any]:
    """All that the embeddings of a corpus depend on."""
    return {
        "version": _VERSION,
        "inputs": [[file.format, digest] for file, digest in zip(corpus.files, digests, strict=True)],
        "text": None if rule is None else [rule.name, *rule.fields],
        "encoder": dict(encoder.recipe() if isinstance(encoder, FittedEncoder) else encoder.identity()),
        "normalize": options.unit_length,
        "dtype": options.kept_as,
        "on_bad_record": options.on_bad_record,
        "max_record_size": options.max_record_size,
        "seed": options.cluster_seed,
    }


def clusters_key(embeddings: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
    """All that clusters depend on."""
    return {"embeddings": dict(embeddings), "clusters": plan.clusters, "blas": blas.description()}


def find_text_rule(options: Options, encoder: Encoder, corpus: Corpus) -> TextRule | None:
    """How a record becomes a text; None where the encoder reads no text."""
    if isinstance(encoder, RecordEncoder):
        if runs_model(options.loss):
            choose_rule(corpus, fields=options.text, template=options.template)  # it will; better to fail now
        elif options.text or options.template is not None:
            raise UsageError(f"--encoder {options.encoder} reads no text: leave --text and --template out")
        if options.store_dtype is not None:
            raise UsageError(f"--encoder {options.encoder}: its vectors are not kept: leave --store-dtype out")
        for field in encoder.fields:
            check_field(corpus, field, options.naming(field))
        return None
    return choose_rule(corpus, fields=options.text, template=options.template)


def find_centroids(
    options: Options,
    records: int,
    plan: Plan,
    embeddings: Embeddings,
    work: WorkFolder,
    key: Mapping[str, Any],
    stages: Stages,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Centroids of the clusters, and some points to try a search with; `key` is that of the clusters.

    An entry of their own: to train centroids may take longer than all the rest.
    """
    entry = work.find("centroids", key)
    if entry is not None:
        centroids, trial = (load_array(entry / f"{name}.npy") for name in _CENTROIDS)
        return centroids, trial
    with stages("draw training points", records) as advance:
        rng = generator(options.cluster_seed, Stream.TRAINING)
        points = embeddings.sample(clustering.training_points(plan.clusters), rng, advance)
    if len(points) == 0:
        raise TitheError(f"{options.first_input}: none of its records ({records:,}) can be used")
    k = min(plan.clusters, len(points))
    with stages("train", clustering.training_visits(len(points), k)) as advance:
        centroids = clustering.train(points, k, seed=options.cluster_seed, advance=advance)
    found = centroids, points[: clustering.TRIAL].copy()
    with work.adding("centroids", key) as folder, writing(work.path):
        for name, array in zip(_CENTROIDS, found, strict=True):
            save_array(folder / f"{name}.npy", array)
    return found


def _load_clusters(entry: OwnPath, bad: BadRecords) -> Clustering:
    facts = read_facts(entry)
    bad.remember(facts["bad_rows"], facts["bad_places"])
    arrays = [load_array(entry / f"{name}.npy") for name in _ARRAYS]
    return Clustering(*arrays, cost=facts["cost"], search=facts["search"] and SearchQuality(**facts["search"]))
