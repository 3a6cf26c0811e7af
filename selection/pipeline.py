"""select(): the steps of the method, in their order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from tithe.selection.appraisal import Appraisal
from tithe.selection.candidates import Candidates
from tithe.selection.clusters_file import clusters_table, write_clusters
from tithe.selection.conditions import always_among, but_never
from tithe.selection.corpus import Corpus, open_corpus
from tithe.selection.design import Design, PivotalDesign, certain_records, make_design
from tithe.selection.distinct import distinct
from tithe.selection.duplicates import DedupDesign, copies_of, those_that_stay, times_copies
from tithe.selection.embedded import Encoder
from tithe.selection.embeddings import KeptEmbeddings
from tithe.selection.errors import TitheError, UsageError
from tithe.selection.exclusion import excluded_rows
from tithe.selection.groundwork import Groundwork, check_field, find_text_rule, lay
from tithe.selection.group_design import GroupDesign, make_group_design
from tithe.selection.groups import Groups, describe_groups
from tithe.selection.losses import LossRequest, LossSource, make_loss_source
from tithe.selection.losses.ledger import Ledger
from tithe.selection.manifest import Outcome, describe, sha256_of_all
from tithe.selection.marks import Marks, check_marked_fields, read_marks
from tithe.selection.methods.base import Judgement
from tithe.selection.methods.registry import make_method
from tithe.selection.options import Options
from tithe.selection.outputs import Outputs, staged_clusters, staged_rows, staged_subset
from tithe.selection.rows_file import rows_table, write_rows
from tithe.selection.sampling import NOBODY
from tithe.selection.stages import Progress, Stages, no_progress
from tithe.selection.subset import check_writable, write_subset
from tithe.selection.validation import Validation
from tithe.selection.weights import WeightSummary, summarize, tempered
from tithe.selection.work.folder import open_work_folder

Notify = Callable[[str], object]

# See groundwork.py for the other streams.
_DRAWING_STREAM, _VALIDATION_STREAM = 2, 3


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
    """Choose a weighted subset of a corpus; write it with its rows and clusters files and its manifest, or nothing.

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
    losses = loss_source(options, options.loss)
    validation_losses = loss_source(options, options.validation_loss) if options.validation_loss else losses
    with outputs.work_folder() as folder:
        with stages("open", None, "files"):
            corpus = open_corpus(options.inputs, format=options.format, spool=folder, stdin=stdin)
            outputs.check_apart_from(corpus.files, options.inputs)
            check_writable(corpus, outputs.format, options.weight_column)
            check_field(corpus, losses.field, f"--loss {options.loss}")
            check_field(corpus, validation_losses.field, f"--validation-loss {options.validation_loss}")
            check_marked_fields(options, corpus)
            rule = find_text_rule(options, encoder, corpus)
            if options.dedup and rule is None:
                raise UsageError(f"--dedup: compares texts, and --encoder {options.encoder} reads none")
        if rule is not None:
            notify(f"text: {rule.name}")
        with stages("hash", sum(file.size for file in corpus.files), "bytes") as advance:
            digests = sha256_of_all([file.source for file in corpus.files], advance)
        marks = read_marks(options, corpus, stages)
        with open_work_folder(options.work_dir, spare=folder, notify=notify) as work:
            ground = lay(options, corpus, rule, encoder, work, digests, stages)
            if ground.reused:
                notify(f"found in {work.path}: {' and '.join(ground.reused)}")
            excluded = excluded_rows(options.exclude, digests)
            marks = marks.without(ground.bad.rows())
            outcome = choose(
                options, corpus, ground, losses, validation_losses, excluded, marks, stages=stages, notify=notify
            )
            with stages("write", len(outcome.rows)) as advance:
                write_subset(
                    corpus,
                    outcome.rows,
                    outcome.weights,
                    path=staged_subset(folder),
                    format=outputs.format,
                    compression=outputs.compression,
                    weight_column=options.weight_column,
                )
                if options.output is not None:
                    write_rows(rows_table(corpus, outcome), staged_rows(folder))
                    write_clusters(clusters_table(corpus, outcome), staged_clusters(folder))
                advance(len(outcome.rows))
        manifest = describe(options, corpus, outcome, digests)
        manifest["run"] = {
            "started": started.isoformat(timespec="seconds"),
            "reused": list(ground.reused),
            "texts_encoded": ground.encoded,
            "stages": stages.records,
        }
        outputs.publish(folder, manifest, stdout)
    seconds = (datetime.now(timezone.utc) - started).total_seconds()
    return Selection(manifest, summarize(outcome.weights), seconds)


def choose(
    options: Options,
    corpus: Corpus,
    ground: Groundwork,
    losses: LossSource,
    validation_losses: LossSource,
    excluded: npt.NDArray[np.int64],
    marks: Marks,
    *,
    stages: Stages,
    notify: Notify = lambda message: None,
) -> Outcome:
    """The method: losses of its probes, scores, design, sample, and what it is worth. `excluded` are overall rows.

    `marks` are those of the usable records.
    """
    n = len(ground.clusters.labels)
    candidates = Candidates.without(n, ground.bad.positions(np.setdiff1d(excluded, ground.bad.rows())))
    if candidates.count == 0:
        raise TitheError(f"--exclude {' '.join(options.exclude)}: leaves no record to choose from")
    taken, always = candidates.excluded, NOBODY
    if marks.flags is not None:
        candidates = but_never(candidates, marks.flags)
        if candidates.count == 0:
            raise TitheError(f"--never {' '.join(options.never)}: leaves no record to choose from")
        always = always_among(candidates, marks.flags, min(ground.plan.size, candidates.count))
    never, copies, duplicates = candidates.excluded - taken, None, None
    if options.dedup:
        assert isinstance(ground.embeddings, KeptEmbeddings)
        with stages("dedup", n) as advance:
            certain = certain_records(options, ground, candidates, always)
            preferred = np.concatenate([always, np.setdiff1d(certain, always)])
            copies = copies_of(ground.embeddings.texts, candidates, preferred)
            distinct_ = those_that_stay(copies)
            duplicates, candidates = candidates.count - distinct_.count, distinct_
            always = always[candidates[always]]
            advance(n)
    with stages("prepare", None):
        method = make_method(options, ground)
    ledger = Ledger(losses, corpus)
    with stages("losses", len(method.probes)) as advance:
        probe_losses = ledger.losses(ground.rows(method.probes))
        advance(len(method.probes))
    with stages("sample", n) as advance:
        judgement = method.judge(probe_losses, candidates)
        if copies is not None:
            times_copies(judgement.scores.values, copies)
        design = drawn_by = _design(options, ground, judgement, candidates, always, marks.groups)
        if copies is not None:
            assert isinstance(drawn_by, PivotalDesign)
            design = DedupDesign(drawn_by, copies)
        sample = design.draw(np.random.default_rng([options.seed, _DRAWING_STREAM]))
        advance(n)
    for note in judgement.notes:
        notify(note)
    rows = ground.rows(sample.positions)
    with stages("evidence", None):
        validation_ledger = ledger if validation_losses is losses else Ledger(validation_losses, corpus)
        appraisal = Appraisal(
            corpus=corpus,
            ground=ground,
            judgement=judgement,
            candidates=candidates,
            design=design,
            sample=sample,
            rows=rows,
            informed=options.loss != "none",
            subset_losses=ledger.losses(rows) if options.score_subset else None,
            validation=_validate(options, ground, judgement, candidates, validation_ledger),
            copies=copies,
        )
        evidence = appraisal.describe()
    asked = losses.asked + (validation_losses.asked if validation_losses is not losses else 0)
    return Outcome(
        ground=ground,
        excluded=taken,
        never=never,
        always=len(always),
        duplicates=duplicates,
        groups=describe_groups(
            marks.groups, drawn_by.counts, candidates, sample, candidates if copies is None else copies
        )
        if marks.groups is not None and isinstance(drawn_by, GroupDesign)
        else None,
        judgement=judgement,
        sample=sample,
        weights=tempered(sample.weights, options.temper),
        rows=rows,
        loss=losses.describe(),
        losses_asked=asked,
        evidence=evidence,
    )


def _design(
    options: Options,
    ground: Groundwork,
    judgement: Judgement,
    candidates: Candidates,
    always: npt.NDArray[np.int64],
    groups: Groups | None,
) -> Design:
    if groups is None:
        return make_design(options, ground, judgement, candidates, always)
    return make_group_design(
        groups,
        options.wanted_groups,
        judgement.scores.values,
        min(ground.plan.size, candidates.count),
        ground.order if judgement.order is None else judgement.order,
        candidates,
        certain_records(options, ground, candidates, always),
    )


def loss_source(options: Options, spec: str) -> LossSource:
    """The source of losses that a specification names."""
    request = LossRequest(
        timeout=options.loss_timeout,
        device=options.device,
        dtype=options.dtype,
        text=options.text,
        template=options.template,
    )
    return make_loss_source(spec, request)


def validation_positions(options: Options, records: int) -> npt.NDArray[np.int64]:
    """Which of the usable records `--validate` asks about: a simple random sample, the same in every round."""
    assert options.validate is not None
    rng = np.random.default_rng([options.cluster_seed, _VALIDATION_STREAM])
    return distinct(records, min(options.validate, records), rng)


def _validate(
    options: Options, ground: Groundwork, judgement: Judgement, candidates: Candidates, ledger: Ledger
) -> Validation | None:
    """What is known of the candidates among the validated records; None where that is next to nothing."""
    if options.validate is None:
        return None
    at = validation_positions(options, len(ground.clusters.labels))
    losses = ledger.losses(ground.rows(at))
    found = Validation(at, losses, judgement.proxy.values[at], judgement.spreads[at]).among(candidates)
    return found if len(found.losses) >= 2 else None
