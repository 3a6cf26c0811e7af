"""The method on a corpus that is clustered: losses of the probes, scores, design, sample, and what it is worth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tithe.selection.clustering.clustered_corpus import ClusteredCorpus
from tithe.selection.corpus.corpus import Corpus
from tithe.selection.engine.distinct import distinct
from tithe.selection.engine.seeds import Stream, generator
from tithe.selection.engine.stages import Stages
from tithe.selection.evidence.evaluation import Evaluation
from tithe.selection.evidence.validation import Validation
from tithe.selection.losses import make_loss_source
from tithe.selection.losses.base import LossRequest, LossSource
from tithe.selection.losses.ledger import Ledger
from tithe.selection.options.options import Options
from tithe.selection.population.population import Population
from tithe.selection.sampling.design import Design
from tithe.selection.sampling.make import Drawing, make_design
from tithe.selection.sampling.nested import second_phase, thinned
from tithe.selection.sampling.probabilities import Sample
from tithe.selection.sampling.weights import tempered
from tithe.selection.scoring.base import Scoring
from tithe.selection.scoring.registry import make_method
from tithe.selection.subset.manifest import Outcome
from tithe.selection.subset.shapes import scaled
from tithe.selection.subset.weight_shapes.base import Copying
from tithe.selection.subset.weight_shapes.registry import WEIGHT_SHAPES

Notify = Callable[[str], object]


def choose(
    options: Options,
    corpus: Corpus,
    clustered: ClusteredCorpus,
    population: Population,
    sources: LossSources,
    stages: Stages,
) -> list[Outcome]:
    """An outcome for each size of the plan, the largest first; each smaller sample lies within the one before."""
    n = clustered.records
    with stages("prepare", None):
        method = make_method(options, clustered)
    ledger = Ledger(sources.centres, corpus)
    with stages("losses", len(method.probes)) as advance:
        probe_losses = ledger.losses(clustered.rows(method.probes))
        advance(len(method.probes))
    with stages("sample", n) as advance:
        scoring = method.score(probe_losses, population.candidates)
        if population.copies is not None:
            scoring = scoring.times(population.copies)
        drawn = draw(options, clustered, population, scoring)
        advance(n)
    with stages("evidence", None):
        validation_ledger = Ledger(sources.validation, corpus) if sources.differ else ledger
        validation = _validate(options, clustered, scoring, population, validation_ledger)
        evaluations = [
            Evaluation(
                corpus=corpus,
                clustered=clustered,
                population=population,
                scoring=scoring,
                design=design,
                sample=sample,
                rows=(rows := clustered.rows(sample.positions)),
                informed=options.loss != "none",
                subset_losses=ledger.losses(rows) if options.score_subset else None,
                validation=validation,
            )
            for design, sample in drawn
        ]
        evidence = [evaluation.describe() for evaluation in evaluations]
    return [
        _outcome(options, evaluation, described, sources)
        for evaluation, described in zip(evaluations, evidence, strict=True)
    ]


def _outcome(options: Options, evaluation: Evaluation, evidence: dict[str, Any], sources: LossSources) -> Outcome:
    """What was chosen, with the weights as the subset holds them."""
    sample, clustered = evaluation.sample, evaluation.clustered
    weights = tempered(sample.weights, options.temper)
    return Outcome(
        clustered=clustered,
        population=evaluation.population,
        scoring=evaluation.scoring,
        sample=sample,
        weights=scaled(weights, options.scale),
        repeats=repeats(options, clustered, sample, weights, evaluation.design.size),
        rows=evaluation.rows,
        loss=sources.centres.describe(),
        losses_asked=sources.asked,
        evidence=evidence,
        budget=evaluation.design.size,
    )


def draw(
    options: Options, clustered: ClusteredCorpus, population: Population, scoring: Scoring
) -> list[tuple[Design, Sample]]:
    """A design and a sample for each size, the largest first."""
    scores, order = scoring.scores.values, clustered.order if scoring.order is None else scoring.order
    given = population.given + scoring.proxy.losses.tobytes()
    largest, *smaller = clustered.plan.sizes
    drawing = Drawing(options.sampler, options.seed)
    design = make_design(drawing, population, scores, order, largest)
    sample = design.draw(generator(options.seed, Stream.DRAWING, given=given))
    drawn = [(design, sample)]
    for number, size in enumerate(smaller):
        phase = second_phase(drawing, population, scores, order, sample, size)
        sample = thinned(sample, phase, generator(options.seed, Stream.NESTED, number, given=given))
        drawn.append((make_design(drawing, population, scores, order, size), sample))
    return drawn


def repeats(
    options: Options, clustered: ClusteredCorpus, sample: Sample, weights: npt.NDArray[np.float64], lines: int
) -> npt.NDArray[np.int64] | None:
    """How often each selected record comes, where records stand for the weights. Those of a cluster make up for each
    other. Of a budget of tokens, there are as many lines as have so many."""
    shape = WEIGHT_SHAPES[options.shape]()
    if not shape.repeats_records:
        return None
    rng = generator(options.seed, Stream.COPIES, given=sample.positions.tobytes())
    alike = np.argsort(clustered.clusters.labels[sample.positions], kind="stable")
    tokens = None
    if clustered.tokens is not None:
        assert options.tokens is not None
        tokens = clustered.tokens[sample.positions].astype(np.float64)
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
    options: Options, clustered: ClusteredCorpus, scoring: Scoring, population: Population, ledger: Ledger
) -> Validation | None:
    """What is known of the candidates among the validated records; None where that is next to nothing."""
    if options.validate is None:
        return None
    at = validation_positions(options, clustered.records)
    losses = ledger.losses(clustered.rows(at))
    found = Validation(at, losses, scoring.proxy.values[at], scoring.spreads[at]).among(population.candidates)
    return found if len(found.losses) >= 2 else None
