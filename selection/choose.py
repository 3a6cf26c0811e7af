"""The method on a corpus that is clustered: losses of the probes, scores, design, sample, and what it is worth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tithe.selection.appraisal import Appraisal
from tithe.selection.corpus import Corpus
from tithe.selection.designs.base import Design
from tithe.selection.designs.make import make_design
from tithe.selection.designs.nested import second_phase, thinned
from tithe.selection.designs.sampling import Sample
from tithe.selection.distinct import distinct
from tithe.selection.frame.frame import Frame
from tithe.selection.groundwork import Groundwork
from tithe.selection.losses import make_loss_source
from tithe.selection.losses.base import LossRequest, LossSource
from tithe.selection.losses.ledger import Ledger
from tithe.selection.manifest import Outcome
from tithe.selection.methods.base import Judgement
from tithe.selection.methods.registry import make_method
from tithe.selection.options import Options
from tithe.selection.shapes import scaled
from tithe.selection.stages import Stages
from tithe.selection.streams import Stream, generator
from tithe.selection.validation import Validation
from tithe.selection.weight_shapes.base import Copying
from tithe.selection.weight_shapes.registry import WEIGHT_SHAPES
from tithe.selection.weights import tempered

Notify = Callable[[str], object]


def choose(
    options: Options, corpus: Corpus, ground: Groundwork, frame: Frame, sources: LossSources, stages: Stages
) -> list[Outcome]:
    """An outcome for each size of the plan, the largest first; each smaller sample lies within the one before."""
    n = len(ground.clusters.labels)
    with stages("prepare", None):
        method = make_method(options, ground)
    ledger = Ledger(sources.centres, corpus)
    with stages("losses", len(method.probes)) as advance:
        probe_losses = ledger.losses(ground.rows(method.probes))
        advance(len(method.probes))
    with stages("sample", n) as advance:
        judgement = method.judge(probe_losses, frame.candidates)
        if frame.copies is not None:
            judgement = judgement.times(frame.copies)
        drawn = draw(options, ground, frame, judgement)
        advance(n)
    with stages("evidence", None):
        validation_ledger = Ledger(sources.validation, corpus) if sources.differ else ledger
        validation = _validate(options, ground, judgement, frame, validation_ledger)
        appraisals = [
            Appraisal(
                corpus=corpus,
                ground=ground,
                frame=frame,
                judgement=judgement,
                design=design,
                sample=sample,
                rows=(rows := ground.rows(sample.positions)),
                informed=options.loss != "none",
                subset_losses=ledger.losses(rows) if options.score_subset else None,
                validation=validation,
            )
            for design, sample in drawn
        ]
        evidence = [appraisal.describe() for appraisal in appraisals]
    return [
        _outcome(options, appraisal, described, sources)
        for appraisal, described in zip(appraisals, evidence, strict=True)
    ]


def _outcome(options: Options, appraisal: Appraisal, evidence: dict[str, Any], sources: LossSources) -> Outcome:
    """What was chosen, with the weights as the subset holds them."""
    sample, ground = appraisal.sample, appraisal.ground
    weights = tempered(sample.weights, options.temper)
    return Outcome(
        ground=ground,
        frame=appraisal.frame,
        judgement=appraisal.judgement,
        sample=sample,
        weights=scaled(weights, options.scale),
        repeats=repeats(options, ground, sample, weights, appraisal.design.size),
        rows=appraisal.rows,
        loss=sources.centres.describe(),
        losses_asked=sources.asked,
        evidence=evidence,
        budget=appraisal.design.size,
    )


def draw(options: Options, ground: Groundwork, frame: Frame, judgement: Judgement) -> list[tuple[Design, Sample]]:
    """A design and a sample for each size, the largest first."""
    scores, order = judgement.scores.values, ground.order if judgement.order is None else judgement.order
    given = frame.given + judgement.proxy.losses.tobytes()
    largest, *smaller = ground.plan.sizes
    design = make_design(options, frame, scores, order, largest)
    sample = design.draw(generator(options.seed, Stream.DRAWING, given=given))
    drawn = [(design, sample)]
    for number, size in enumerate(smaller):
        phase = second_phase(options, frame, scores, order, sample, size)
        sample = thinned(sample, phase, generator(options.seed, Stream.NESTED, number, given=given))
        drawn.append((make_design(options, frame, scores, order, size), sample))
    return drawn


def repeats(
    options: Options, ground: Groundwork, sample: Sample, weights: npt.NDArray[np.float64], lines: int
) -> npt.NDArray[np.int64] | None:
    """How often each selected record comes, where records stand for the weights. Those of a cluster make up for each
    other. Of a budget of tokens, there are as many lines as have so many."""
    shape = WEIGHT_SHAPES[options.shape]()
    if not shape.repeats_records:
        return None
    rng = generator(options.seed, Stream.COPIES, given=sample.positions.tobytes())
    alike = np.argsort(ground.clusters.labels[sample.positions], kind="stable")
    tokens = None
    if ground.tokens is not None:
        assert options.tokens is not None
        tokens = ground.tokens[sample.positions].astype(np.float64)
        lines = max(1, round(options.tokens * float(weights.sum()) / max(float(weights @ tokens), 1.0)))
    return shape.repeats(Copying(weights, lines, alike, tokens), rng)


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


@dataclass(frozen=True)
class LossSources:
    """Where losses are from."""

    centres: LossSource
    """Those of the probes, and of the subset."""
    validation: LossSource
    """Those of `--validate`."""

    @property
    def differ(self) -> bool:
        """Whether they are two."""
        return self.validation is not self.centres

    @property
    def asked(self) -> int:
        """Losses asked for so far."""
        return self.centres.asked + (self.validation.asked if self.differ else 0)


def loss_sources(options: Options) -> LossSources:
    """The sources that the options name."""
    losses = loss_source(options, options.loss)
    return LossSources(losses, loss_source(options, options.validation_loss) if options.validation_loss else losses)


def validation_positions(options: Options, records: int) -> npt.NDArray[np.int64]:
    """Which of the usable records `--validate` asks about: a simple random sample, the same in every round."""
    assert options.validate is not None
    rng = generator(options.cluster_seed, Stream.VALIDATION)
    return distinct(records, min(options.validate, records), rng)


def _validate(
    options: Options, ground: Groundwork, judgement: Judgement, frame: Frame, ledger: Ledger
) -> Validation | None:
    """What is known of the candidates among the validated records; None where that is next to nothing."""
    if options.validate is None:
        return None
    at = validation_positions(options, len(ground.clusters.labels))
    losses = ledger.losses(ground.rows(at))
    found = Validation(at, losses, judgement.proxy.values[at], judgement.spreads[at]).among(frame.candidates)
    return found if len(found.losses) >= 2 else None
