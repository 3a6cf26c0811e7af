"""select(): the steps of the method, in their order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from tithe.embedders.base import FittedEncoder, RecordEncoder, TextEncoder
from tithe.selection import clustering
from tithe.selection.bad_records import BadRecords
from tithe.selection.clustering import Clustering
from tithe.selection.corpus import Corpus, TextRule, choose_rule, open_corpus
from tithe.selection.embedding import (
    Embeddings,
    LookedUpEmbeddings,
    embed_texts,
    fit_encoder,
    store_looked_up,
)
from tithe.selection.errors import TitheError, UsageError
from tithe.selection.losses import LossSource, make_loss_source
from tithe.selection.manifest import BackgroundHashes, Outcome, describe
from tithe.selection.options import Options
from tithe.selection.outputs import Outputs, staged_rows, staged_subset
from tithe.selection.plan import Plan
from tithe.selection.rows_file import rows_table, write_rows
from tithe.selection.sampling import Sample, draw_independent, draw_pivotal, inclusion_probabilities
from tithe.selection.sensitivity import UNIFORM_SHARE, Scores, score
from tithe.selection.stages import Progress, Stages, no_progress
from tithe.selection.store import EmbeddingStore
from tithe.selection.subset import check_writable, write_subset
from tithe.selection.weights import WeightSummary, summarize

Encoder = TextEncoder | RecordEncoder
Notify = Callable[[str], object]

# Every random step has a stream of its own, so that a change in one leaves the others' numbers alone.
_TRAINING_STREAM, _DRAWING_STREAM = 1, 2


@dataclass(frozen=True)
class Selection:
    """A finished selection."""

    manifest: dict[str, Any]
    weights: WeightSummary
    seconds: float


def select(
    options: Options,
    encoder: Encoder,
    *,
    stdin: BinaryIO | None = None,
    stdout: BinaryIO | None = None,
    progress: Progress = no_progress,
    notify: Notify = lambda message: None,
) -> Selection:
    """Choose a weighted subset of a corpus; write it, its rows file and its manifest, or nothing.

    Args:
        options: what to select, and how.
        encoder: the encoder that `options.encoder` names.
        stdin: read for the input `-`.
        stdout: written where `options.output` is None.
        progress: shows how far each stage is.
        notify: told what was found out about the corpus, a line each.

    Raises:
        UsageError: the options contradict each other or the corpus.
        TitheError: an input cannot be read, a record cannot be used, an output cannot be written.
    """
    started = datetime.now(timezone.utc)
    stages = Stages(progress)
    outputs = Outputs.of(options.output, overwrite=options.force)
    losses = make_loss_source(options.loss, timeout=options.loss_timeout)
    with outputs.work_folder() as folder:
        with stages("open", None, "files"):
            corpus = open_corpus(options.inputs, format=options.format, spool=folder, stdin=stdin)
            outputs.check_apart_from(corpus.files, options.inputs)
            check_writable(corpus, outputs.format, options.weight_column)
            check_field(corpus, losses.field, f"--loss {options.loss}")
            rule = find_text_rule(options, encoder, corpus)
        if rule is not None:
            notify(f"text: {rule.name}")
        with BackgroundHashes(file.source for file in corpus.files) as hashes:
            outcome = choose(options, corpus, rule, encoder, losses, folder=folder, stages=stages)
            with stages("write", len(outcome.rows)) as advance:
                write_subset(
                    corpus,
                    outcome.rows,
                    outcome.sample.weights,
                    path=staged_subset(folder),
                    format=outputs.format,
                    compression=outputs.compression,
                    weight_column=options.weight_column,
                )
                write_rows(rows_table(corpus, outcome), staged_rows(folder))
                advance(len(outcome.rows))
            with stages("hash", None, "files"):
                digests = hashes.result()
        manifest = describe(options, corpus, encoder, outcome, digests)
        manifest["run"] = {"started": started.isoformat(timespec="seconds"), "stages": stages.records}
        outputs.publish(folder, manifest, stdout)
    seconds = (datetime.now(timezone.utc) - started).total_seconds()
    return Selection(manifest, summarize(outcome.sample.weights), seconds)


def choose(
    options: Options,
    corpus: Corpus,
    rule: TextRule | None,
    encoder: Encoder,
    losses: LossSource,
    *,
    folder: Path,
    stages: Stages,
) -> Outcome:
    """The method: embeddings, clusters, losses of the centres, scores, sample. `folder` takes the embeddings."""
    bad = BadRecords(options.on_bad_record)
    embeddings = _embed(options, corpus, rule, encoder, bad, folder, stages)
    plan, clusters = _cluster(options, corpus.row_count(), embeddings, stages)
    with stages("sample", len(clusters.labels)) as advance:
        loss_rows = bad.overall_rows(clusters.centres)
        ascending = np.argsort(loss_rows)
        centre_losses = np.empty(clusters.k)
        centre_losses[ascending] = losses.losses(corpus, loss_rows[ascending])
        scores = score(
            clusters.labels,
            clusters.squared_distances,
            clusters.centre_vectors,
            centre_losses,
            z=options.z,
            smoothness=options.smoothness,
            uniform_share=UNIFORM_SHARE if options.sampler == "pivotal" else 0.0,
        )
        sample = _draw(options, plan, clusters, scores)
        advance(len(clusters.labels))
    rows = bad.overall_rows(sample.positions)
    return Outcome(rule, bad, plan, clusters, scores, losses.asked, sample, rows)


def find_text_rule(options: Options, encoder: Encoder, corpus: Corpus) -> TextRule | None:
    """How a record becomes a text; None where the encoder reads no text."""
    if isinstance(encoder, RecordEncoder):
        if options.text or options.template is not None:
            raise UsageError(f"--encoder {options.encoder} reads no text: leave --text and --template out")
        check_field(corpus, encoder.field, f"--encoder {options.encoder}")
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
    folder: Path,
    stages: Stages,
) -> Embeddings:
    if isinstance(encoder, RecordEncoder):
        if encoder.rows not in (None, corpus.row_count()):
            raise TitheError(
                f"--encoder {options.encoder}: holds {encoder.rows} rows, but the corpus {corpus.row_count()} records"
            )
        looked_up = LookedUpEmbeddings(corpus, encoder, bad, normalize=options.normalize)
        if corpus.schema is not None:
            return looked_up
        with stages("embed", corpus.known_rows) as advance:
            return store_looked_up(looked_up, EmbeddingStore(folder / "embeddings"), advance)
    assert rule is not None
    if isinstance(encoder, FittedEncoder):
        with stages("fit", corpus.known_rows) as advance:
            fit_encoder(encoder, corpus, rule, bad, seed=options.seed, advance=advance)
    with stages("embed", corpus.known_rows) as advance:
        store = EmbeddingStore(folder / "embeddings")
        return embed_texts(encoder, corpus, rule, bad, store, normalize=options.normalize, advance=advance)


def _cluster(options: Options, records: int, embeddings: Embeddings, stages: Stages) -> tuple[Plan, Clustering]:
    if records == 0:
        raise TitheError(f"{options.inputs[0]}: the input holds no records")
    plan = options.plan(records)
    with stages("draw training points", records) as advance:
        rng = np.random.default_rng([options.seed, _TRAINING_STREAM])
        points = embeddings.sample(plan.clusters * clustering.POINTS_PER_CENTRE, rng, advance)
    if len(points) == 0:
        raise TitheError(f"{options.inputs[0]}: none of the {records} records can be used")
    k = min(plan.clusters, len(points))
    with stages("train", clustering.training_visits(len(points), k)) as advance:
        centroids = clustering.train(points, k, seed=options.seed, advance=advance)
    del points
    with stages("assign", 2 * records) as advance:
        clusters = clustering.cluster(embeddings.blocks, centroids, advance=advance)
    return plan.limited_to(len(clusters.labels)), clusters


def _draw(options: Options, plan: Plan, clusters: Clustering, scores: Scores) -> Sample:
    if plan.takes_all:
        everything = np.arange(plan.records)
        return Sample(everything, np.ones(plan.records), np.ones(plan.records))
    certain = None
    if options.keep_centers:
        certain = clusters.centres
        if clusters.k > plan.size:
            raise UsageError(f"--keep-centers: {clusters.k} centres do not fit into a budget of {plan.size} records")
    rng = np.random.default_rng([options.seed, _DRAWING_STREAM])
    if options.sampler == "iid":
        return draw_independent(scores.values, plan.size, rng, certain)
    probabilities = inclusion_probabilities(scores.values, plan.size, certain)
    return draw_pivotal(probabilities, clustering.sampling_order(clusters), rng)
