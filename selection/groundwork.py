"""What does not depend on losses: embeddings and clusters. Laid once, and found again in the work folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tithe.embedders.base import FittedEncoder, MeasuredEncoder, RecordEncoder, TextEncoder
from tithe.selection import blas, clustering
from tithe.selection.bad_records import BadRecords
from tithe.selection.cells import SearchQuality
from tithe.selection.clustering import Clustering
from tithe.selection.corpus import Corpus, TextRule, choose_rule
from tithe.selection.embedding import (
    Embeddings,
    LookedUpEmbeddings,
    StoredEmbeddings,
    embed_texts,
    fit_encoder,
    measure,
    store_looked_up,
)
from tithe.selection.errors import TitheError, UsageError
from tithe.selection.losses import runs_model
from tithe.selection.options import Options
from tithe.selection.plan import Plan
from tithe.selection.stages import Stages
from tithe.selection.store import EmbeddingStore
from tithe.selection.work_folder import WorkFolder

Encoder = TextEncoder | RecordEncoder

# Changes when the same key would give other embeddings or clusters, or an entry holds other facts.
_VERSION = 2

# Every random step has a stream of its own, so that a change in one leaves the others' numbers alone.
_TRAINING_STREAM = 1

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
    reused: tuple[str, ...]
    """What was found in the work folder."""

    def rows(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The overall rows of usable records."""
        return self.bad.overall_rows(positions)

    def vectors(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """The embeddings of the records at `positions`, ascending; shape (len(positions), d)."""
        found = [np.empty((0, self.clusters.centre_vectors.shape[1]), np.float32)]
        start = 0
        for block in self.embeddings.blocks():
            first, last = np.searchsorted(positions, [start, start + len(block)])
            found.append(block[positions[first:last] - start])
            start += len(block)
        return np.concatenate(found)

    @cached_property
    def order(self) -> npt.NDArray[np.int64]:
        """The order in which records are drawn, shape (n,): neighbours in it are alike."""
        return clustering.sampling_order(self.clusters)


@dataclass(frozen=True)
class _Embedded:
    embeddings: Embeddings
    encoder: Mapping[str, Any]
    lengths: npt.NDArray[np.uint32] | None
    reused: bool


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

    `digests` are the SHA-256 of the input files, which an entry is found by; any strings will do in a folder that
    does not outlive the run. Raises TitheError where no record can be used.
    """
    bad = BadRecords(options.on_bad_record)
    key: dict[str, Any] = {
        "version": _VERSION,
        "inputs": [[file.format, digest] for file, digest in zip(corpus.files, digests, strict=True)],
        "text": None if rule is None else [rule.name, *rule.fields],
        "encoder": dict(encoder.recipe() if isinstance(encoder, FittedEncoder) else encoder.identity()),
        "normalize": options.unit_length,
        "on_bad_record": options.on_bad_record,
        "seed": options.cluster_seed,
        "blas": blas.description(),
    }
    embedded = _embed(options, corpus, rule, encoder, bad, work, key, stages)
    records = corpus.row_count()
    if records == 0:
        raise TitheError(f"{options.inputs[0]}: the input holds no records")
    plan = options.plan(records)
    key = {"embeddings": key, "clusters": plan.clusters}
    entry = work.find("clusters", key)
    if entry is not None:
        clusters = _load_clusters(entry, bad)
    else:
        clusters = _cluster(options, records, plan, embedded.embeddings, stages)
        with work.adding("clusters", key) as folder:
            for name in _ARRAYS:
                _save(folder / f"{name}.npy", getattr(clusters, name))
            _write_facts(
                folder,
                {"cost": clusters.cost, "search": clusters.search and asdict(clusters.search), **_bad_facts(bad)},
            )
    reused = {"embeddings": embedded.reused, "clusters": entry is not None}
    return Groundwork(
        rule,
        bad,
        embedded.encoder,
        plan.limited_to(len(clusters.labels)),
        embedded.embeddings,
        clusters,
        embedded.lengths,
        tuple(name for name, was_found in reused.items() if was_found),
    )


def find_text_rule(options: Options, encoder: Encoder, corpus: Corpus) -> TextRule | None:
    """How a record becomes a text; None where the encoder reads no text."""
    if isinstance(encoder, RecordEncoder):
        if runs_model(options.loss):
            choose_rule(corpus, fields=options.text, template=options.template)  # it will; better to fail now
        elif options.text or options.template is not None:
            raise UsageError(f"--encoder {options.encoder} reads no text: leave --text and --template out")
        for field in encoder.fields:
            check_field(corpus, field, options.naming(field))
        return None
    return choose_rule(corpus, fields=options.text, template=options.template)


def check_field(corpus: Corpus, field: str | None, option: str) -> None:
    """Raise UsageError where the corpus's schema lacks a field that an option names, before the long work."""
    if field is not None and corpus.schema is not None and field not in corpus.schema.names:
        names = ", ".join(corpus.schema.names)
        raise UsageError(f"{option}: there is no field {field!r} in {corpus.files[0].path}, which has {names}")


def _embed(
    options: Options,
    corpus: Corpus,
    rule: TextRule | None,
    encoder: Encoder,
    bad: BadRecords,
    work: WorkFolder,
    key: Mapping[str, Any],
    stages: Stages,
) -> _Embedded:
    if isinstance(encoder, RecordEncoder) and encoder.rows not in (None, corpus.row_count()):
        raise TitheError(
            f"--encoder {options.encoder}: holds {encoder.rows} rows, but the corpus {corpus.row_count()} records"
        )
    if isinstance(encoder, MeasuredEncoder):
        with stages("measure", corpus.known_rows) as advance:
            measure(encoder, corpus, bad, advance)
    if isinstance(encoder, RecordEncoder) and corpus.schema is not None:
        looked_up = LookedUpEmbeddings(corpus, encoder, bad, normalize=options.unit_length)
        return _Embedded(looked_up, key["encoder"], None, reused=False)
    entry = work.find("embeddings", key)
    if entry is not None:
        return _load_embeddings(entry, corpus, bad, with_lengths=rule is not None)
    with work.adding("embeddings", key) as folder:
        store = EmbeddingStore(folder / "vectors")
        if isinstance(encoder, RecordEncoder):
            looked_up = LookedUpEmbeddings(corpus, encoder, bad, normalize=options.unit_length)
            with stages("embed", corpus.known_rows) as advance:
                store_looked_up(looked_up, store, advance)
        else:
            assert rule is not None
            if isinstance(encoder, FittedEncoder):
                with stages("fit", corpus.known_rows) as advance:
                    fit_encoder(encoder, corpus, rule, bad, seed=options.cluster_seed, advance=advance)
            with stages("embed", corpus.known_rows) as advance:
                lengths = embed_texts(encoder, corpus, rule, bad, store, normalize=options.unit_length, advance=advance)
            _save(folder / "lengths.npy", lengths)
        facts = {"count": store.count, "dimensions": store.dimensions, "file_rows": corpus.file_rows()}
        identity = dict(encoder.identity()) if isinstance(encoder, FittedEncoder) else key["encoder"]
        _write_facts(folder, {**facts, "encoder": identity, **_bad_facts(bad)})
    entry = work.find("embeddings", key)
    assert entry is not None
    found = _load_embeddings(entry, corpus, bad, with_lengths=rule is not None)
    return _Embedded(found.embeddings, found.encoder, found.lengths, reused=False)


def _cluster(options: Options, records: int, plan: Plan, embeddings: Embeddings, stages: Stages) -> Clustering:
    with stages("draw training points", records) as advance:
        rng = np.random.default_rng([options.cluster_seed, _TRAINING_STREAM])
        points = embeddings.sample(clustering.training_points(plan.clusters), rng, advance)
    if len(points) == 0:
        raise TitheError(f"{options.inputs[0]}: none of the {records} records can be used")
    k = min(plan.clusters, len(points))
    with stages("train", clustering.training_visits(len(points), k)) as advance:
        centroids = clustering.train(points, k, seed=options.cluster_seed, advance=advance)
    trial = points[: clustering.TRIAL].copy()
    del points
    with stages("assign", 2 * records) as advance:
        return clustering.cluster(embeddings.blocks, centroids, trial=trial, advance=advance)


def _load_embeddings(entry: Path, corpus: Corpus, bad: BadRecords, *, with_lengths: bool) -> _Embedded:
    facts = _read_facts(entry)
    corpus.remember_rows(facts["file_rows"])
    bad.remember(facts["bad_rows"], facts["bad_places"])
    vectors = entry / "vectors"
    if vectors.stat().st_size != 4 * facts["count"] * facts["dimensions"]:
        raise TitheError(f"{vectors}: is damaged; delete the folder {entry}")
    store = EmbeddingStore.written(vectors, facts["count"], facts["dimensions"])
    lengths = np.load(entry / "lengths.npy", allow_pickle=False) if with_lengths else None
    return _Embedded(StoredEmbeddings(store), facts["encoder"], lengths, reused=True)


def _load_clusters(entry: Path, bad: BadRecords) -> Clustering:
    facts = _read_facts(entry)
    bad.remember(facts["bad_rows"], facts["bad_places"])
    try:
        arrays = [np.load(entry / f"{name}.npy", allow_pickle=False) for name in _ARRAYS]
    except (OSError, ValueError, EOFError) as error:
        raise TitheError(f"{entry}: is damaged ({error}); delete the folder") from error
    return Clustering(*arrays, cost=facts["cost"], search=facts["search"] and SearchQuality(**facts["search"]))


def _save(path: Path, array: npt.NDArray[Any]) -> None:
    # np.save hides the reason when it cannot write.
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        file.write(np.ascontiguousarray(array).data)


def _bad_facts(bad: BadRecords) -> dict[str, Any]:
    return {"bad_rows": bad.rows().tolist(), "bad_places": bad.places}


def _write_facts(folder: Path, facts: Mapping[str, Any]) -> None:
    (folder / "facts.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def _read_facts(entry: Path) -> dict[str, Any]:
    try:
        return json.loads((entry / "facts.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TitheError(f"{entry}: is damaged ({error}); delete the folder") from error
