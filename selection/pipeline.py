"""select(): the steps of the method, in their order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, BinaryIO

from tithe.selection.checks import about_texts, check_inputs, check_losses, check_outputs, notices, open_inputs, tell
from tithe.selection.choose import Notify, choose, loss_sources
from tithe.selection.clustering.clustered_corpus import ClusteredCorpus, cluster_corpus
from tithe.selection.corpus.corpus import Corpus
from tithe.selection.embedding.inputs import digests as digests_of
from tithe.selection.embedding.inputs import within_reach
from tithe.selection.embedding.lookup import Encoder
from tithe.selection.embedding.remote_corpus import RemoteCorpus
from tithe.selection.embedding.work_folder import open_work_folder
from tithe.selection.engine.columns import columns_in
from tithe.selection.engine.executor import Executor, InProcess
from tithe.selection.engine.seeds import Stream, entropy, generator
from tithe.selection.engine.stages import Progress, Stages, no_progress
from tithe.selection.options.options import Options
from tithe.selection.population.exclusion import excluded_rows
from tithe.selection.population.limits import more_than_candidates, more_than_records
from tithe.selection.population.population import define_population
from tithe.selection.population.record_fields import read_record_fields
from tithe.selection.sampling.weights import WeightSummary, summarize
from tithe.selection.storage.own_files import OwnPath
from tithe.selection.storage.places import Place
from tithe.selection.subset.clusters_file import clusters_table, write_clusters
from tithe.selection.subset.manifest import Outcome, describe
from tithe.selection.subset.other_inputs import describe_other_inputs
from tithe.selection.subset.outputs import Outputs, staged_clusters, staged_rows, staged_subset, staging
from tithe.selection.subset.rows_file import rows_table, write_rows
from tithe.selection.subset.shapes import line_order
from tithe.selection.subset.shards import write_shards
from tithe.selection.subset.writer import write_subset


@dataclass(frozen=True)
class Selection:
    """A finished subset."""

    path: Place | None
    """Where it is; None: it went to standard output."""
    manifest: dict[str, Any]
    weights: WeightSummary
    seconds: float


def select(
    options: Options,
    encoder: Encoder,
    *,
    executor: Executor | None = None,
    stdin: BinaryIO | None = None,
    stdout: BinaryIO | None = None,
    progress: Progress = no_progress,
    notify: Notify = lambda message: None,
) -> list[Selection]:
    """Choose a weighted subset of a corpus; write it with its rows and clusters files and its manifest, or nothing.

    Of several fractions, a subset for each, the largest first, each smaller one within the one before.

    Args:
        options: what to select, and how.
        encoder: the encoder that `options.encoder` names.
        executor: runs what takes long; None: this process does.
        stdin: read for the input `-`.
        stdout: written where `options.output` is None.
        progress: shows how far each stage is.
        notify: told what was found out about the corpus, a line each.

    Raises:
        UsageError: the options contradict each other or the corpus.
        TitheError: an input cannot be read, a record cannot be used, an output cannot be written.
    """
    started = datetime.now(timezone.utc)
    stages, executor = Stages(progress), executor or InProcess()
    outputs = Outputs.of(options.output, options.fraction, overwrite=options.force, shards=options.shards)
    sources = loss_sources(options)
    with outputs.work_folder(options.work_dir) as folder, columns_in(folder.path):
        with stages("open", None, "files"):
            corpus = open_inputs(options, folder.path, stdin=stdin, notify=notify)
            outputs = outputs.of_format("jsonl" if corpus.schema is None else "parquet")
            check_outputs(options, outputs, corpus)
            check_losses(options, corpus, sources)
            rule = check_inputs(options, encoder, corpus)
        tell(notify, notices(options, rule))
        with open_work_folder(options.work_dir, spare=folder.path, notify=notify) as work:
            corpus = within_reach(corpus, work, executor)
            digests = digests_of(corpus.files, stages, executor)
            fields_before = read_record_fields(options, corpus, stages, executor)
            corpus, clustered = cluster_corpus(options, corpus, rule, encoder, work, digests, stages, executor)
            tell(notify, about_texts(rule, clustered.empty, clustered.records))
            if clustered.reused:
                notify(f"found in {work.path}: {' and '.join(clustered.reused)}")
            excluded, record_fields = excluded_rows(options.exclude, digests), fields_before.of(clustered)
            population = define_population(options, clustered, excluded, record_fields, stages)
            tell(notify, population.notes)
            tell(notify, more_than_records(options, clustered.records))
            tell(notify, more_than_candidates(options, clustered.plan.size, population))
            outcomes = choose(options, corpus, clustered, population, sources, stages)
            tell(notify, outcomes[0].scoring.notes)
            with stages("write", sum(len(outcome.rows) for outcome in outcomes)) as advance:
                for number, outcome in enumerate(outcomes):
                    _write(options, outputs, corpus, outcome, staging(folder, number))
                    advance(len(outcome.rows))
            described = [describe(options, corpus, outcome, digests) for outcome in outcomes]
        run = _run(started, outputs, clustered, stages)
        others = describe_other_inputs(options)
        manifests = [
            {**about, "other_inputs": others, "nested": _nested(outputs, number), "run": run}
            for number, about in enumerate(described)
        ]
        outputs.publish(folder, manifests, stdout, lines=[outcome.lines for outcome in outcomes])
    seconds = (datetime.now(timezone.utc) - started).total_seconds()
    return [
        Selection(path, manifest, summarize(outcome.weights), seconds)
        for path, manifest, outcome in zip(outputs.subsets or (None,), manifests, outcomes, strict=True)
    ]


def _run(started: datetime, outputs: Outputs, clustered: ClusteredCorpus, stages: Stages) -> dict[str, Any]:
    """For the manifest: what is of this run alone."""
    return {
        "started": started.isoformat(timespec="seconds"),
        "folder": outputs.folder_of_the_run(),
        "reused": list(clustered.reused),
        "texts_encoded": clustered.encoded,
        "stages": stages.records,
    }


def _nested(outputs: Outputs, number: int) -> dict[str, Any] | None:
    """For the manifest: which subset this one lies within, of several."""
    if len(outputs.subsets) < 2:
        return None
    return {
        "subset": outputs.subsets[number].name,
        "within": outputs.subsets[number - 1].name if number else None,
    }


def _write(options: Options, outputs: Outputs, corpus: Corpus, outcome: Outcome, folder: OwnPath) -> None:
    """Write the subset, the rows file and the clusters file into `folder`."""
    if outputs.shards:
        assert isinstance(corpus, RemoteCorpus), "shards are written where the partitions are"
        write_shards(
            corpus,
            outcome.rows,
            outcome.weights,
            folder=staged_subset(folder),
            format=outputs.format,
            weight_column=options.weight_column,
            weights_as=options.shape,
            repeats=outcome.repeats,
            seed=entropy(options.seed, Stream.LINES),
        )
    else:
        lines = None
        if outcome.repeats is not None:
            lines = line_order(outcome.repeats, generator(options.seed, Stream.LINES))
        write_subset(
            corpus,
            outcome.rows,
            outcome.weights,
            path=staged_subset(folder),
            format=outputs.format,
            compression=outputs.compression,
            weight_column=options.weight_column,
            weights_as=options.shape,
            lines=lines,
        )
    if options.output is not None:
        write_rows(rows_table(corpus, outcome), staged_rows(folder))
        write_clusters(clusters_table(corpus, outcome), staged_clusters(folder))
