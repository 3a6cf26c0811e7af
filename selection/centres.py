"""`tithe centers`: the records whose losses a selection will ask for, for the user's own trainer to score."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from tithe.selection.arrays import Positions
from tithe.selection.checks import about_texts, check_inputs, notices, open_inputs, tell
from tithe.selection.choose import Notify, validation_positions
from tithe.selection.clustering.clustered_corpus import ClusteredCorpus, cluster_corpus
from tithe.selection.corpus.corpus import Corpus
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
        corpus = open_inputs(options, folder.path, stdin=stdin, notify=notify)
        for name in ADDED:
            if name in corpus.field_names():
                raise UsageError(f"{corpus.files[0].path}: has a field {name!r}, which centres get; rename it")
        check_apart([output], corpus.files, options.inputs)
        rule = check_inputs(options, encoder, corpus)
        tell(notify, notices(options, rule))
        unfinished = folder / "centres"
        with open_work_folder(options.work_dir, spare=folder.path, notify=notify) as work:
            corpus = within_reach(corpus, work, executor)
            digests = digests_of(corpus.files, stages, executor)
            corpus, clustered = cluster_corpus(options, corpus, rule, encoder, work, digests, stages, executor)
            tell(notify, about_texts(rule, clustered.empty, clustered.records))
            positions = make_method(options, clustered).probes
            if len(positions) == 0 and options.validate is None:
                raise UsageError(f"--method {options.method}: asks for no losses; there is nothing to score")
            tell(notify, more_than_records(options, clustered.records))
            if options.validate is not None:
                positions = np.concatenate([positions, validation_positions(options, clustered.records)])
            positions = np.unique(positions)
            with unfinished.create() as out:
                out.writelines(_lines(corpus, clustered, positions))
        check_target(output, overwrite=options.force)  # again, since the run may have taken days
        put_in_place(unfinished, target)
    return len(positions)


def _lines(corpus: Corpus, clustered: ClusteredCorpus, positions: Positions) -> Iterator[bytes]:
    """The records at `positions`, ascending, each with its row and its cluster."""
    rows = clustered.rows(positions)
    added = zip(rows.tolist(), clustered.clusters.labels[positions].tolist(), strict=True)
    for batch in corpus.take(rows, None):
        for line in json_lines(batch):
            begun = line[:-1].rstrip()
            comma = b"" if begun == b"{" else b", "
            fields = json.dumps(dict(zip(ADDED, next(added), strict=True)))
            yield begun + comma + fields[1:].encode() + b"\n"
