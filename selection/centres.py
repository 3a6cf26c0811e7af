"""`tithe centers`: the records whose losses a selection will ask for, for the user's own trainer to score."""

from __future__ import annotations

import json
from pathlib import Path
from typing import BinaryIO

import numpy as np

from tithe.selection.checks import about_texts, check_inputs, notices
from tithe.selection.choose import Notify, validation_positions
from tithe.selection.clustering.clustered_corpus import cluster_corpus
from tithe.selection.corpus.corpus import open_corpus
from tithe.selection.corpus.json_lines import json_lines
from tithe.selection.embedding.inputs import digests as digests_of
from tithe.selection.embedding.inputs import within_reach
from tithe.selection.embedding.lookup import Encoder
from tithe.selection.embedding.work_folder import open_work_folder
from tithe.selection.engine.columns import columns_in
from tithe.selection.engine.executor import Executor, InProcess
from tithe.selection.engine.stages import Progress, Stages, no_progress
from tithe.selection.errors import UsageError
from tithe.selection.options.options import Options
from tithe.selection.population.limits import more_than_records
from tithe.selection.scoring.registry import make_method
from tithe.selection.storage.atomic import check_target, put_in_place, work_folder_beside
from tithe.selection.storage.own_files import OwnPath
from tithe.selection.subset.outputs import check_apart

ADDED = ("row", "cluster")
"""The fields that each record gets."""


def write_centres(
    options: Options,
    encoder: Encoder,
    output: Path,
    *,
    executor: Executor | None = None,
    stdin: BinaryIO | None = None,
    progress: Progress = no_progress,
    notify: Notify = lambda message: None,
) -> int:
    """Write the centre records, and those that `--validate` draws, as JSONL with `row` and `cluster`; return how many.

    A selection with the same options finds the clusters in the work folder, and the losses by `row`.

    Raises UsageError where a record has one of the fields already, and otherwise what `select` would.
    """
    check_target(output, overwrite=options.force)
    stages, executor = Stages(progress), executor or InProcess()
    target = OwnPath.of(output)
    with work_folder_beside(target) as folder, columns_in(folder.path):
        corpus = open_corpus(
            options.inputs,
            format=options.format,
            max_record_size=options.max_record_size,
            spool=folder.path,
            stdin=stdin,
            notify=notify,
        )
        for name in ADDED:
            if name in corpus.field_names():
                raise UsageError(f"{corpus.files[0].path}: has a field {name!r}, which centres get; rename it")
        check_apart([output], corpus.files, options.inputs)
        rule = check_inputs(options, encoder, corpus)
        for line in notices(options, rule):
            notify(line)
        unfinished = folder / "centres"
        with open_work_folder(options.work_dir, spare=folder.path, notify=notify) as work:
            corpus = within_reach(corpus, work, executor)
            digests = digests_of(corpus.files, stages, executor)
            corpus, clustered = cluster_corpus(options, corpus, rule, encoder, work, digests, stages, executor)
            for line in about_texts(rule, clustered.empty, len(clustered.clusters.labels)):
                notify(line)
            positions = make_method(options, clustered).probes
            if len(positions) == 0 and options.validate is None:
                raise UsageError(f"--method {options.method}: asks for no losses; there is nothing to score")
            labels = clustered.clusters.labels
            for line in more_than_records(options, len(labels)):
                notify(line)
            if options.validate is not None:
                positions = np.concatenate([positions, validation_positions(options, len(labels))])
            positions = np.unique(positions)
            rows = clustered.rows(positions)
            with unfinished.create() as out:
                added = zip(rows.tolist(), labels[positions].tolist(), strict=True)
                for batch in corpus.take(rows, None):
                    for line in json_lines(batch):
                        row, cluster = next(added)
                        begun = line[:-1].rstrip()
                        comma = b"" if begun == b"{" else b", "
                        fields = json.dumps(dict(zip(ADDED, (row, cluster), strict=True)))
                        out.write(begun + comma + fields[1:].encode() + b"\n")
        check_target(output, overwrite=options.force)  # again, since the run may have taken days
        put_in_place(unfinished, target)
    return len(rows)
