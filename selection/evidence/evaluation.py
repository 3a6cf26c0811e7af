"""The manifest's `evidence`: what the subset is worth, from whatever losses are known."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tithe.selection.arrays import Floats
from tithe.selection.clustering.clustered_corpus import ClusteredCorpus
from tithe.selection.corpus.corpus import Corpus
from tithe.selection.engine.quantities import Derived, total
from tithe.selection.evidence import estimate
from tithe.selection.evidence.validation import Validation
from tithe.selection.population.population import Population
from tithe.selection.sampling.design import Design
from tithe.selection.sampling.probabilities import Sample
from tithe.selection.sampling.weights import summarize
from tithe.selection.scoring.base import Scoring


@dataclass(frozen=True)
class Evaluation:
    """A selection, and the losses that are known to evaluate it by."""

    corpus: Corpus
    clustered: ClusteredCorpus
    population: Population
    """The records that the estimates are about."""
    scoring: Scoring
    design: Design
    sample: Sample
    rows: npt.NDArray[np.int64]
    """Overall rows of the sample, shape (s,)."""
    informed: bool
    """Whether the losses say anything, or are all taken for equal."""
    subset_losses: Floats | None
    """Losses of the sample, shape (s,), where they were asked for."""
    validation: Validation | None
    """Losses of a simple random sample of at least 2 of the candidates, where they were asked for."""

    def describe(self) -> dict[str, Any]:
        """All the evidence, in JSON values."""
        weights = summarize(self.sample.weights)
        smoothness = self.scoring.scores.smoothness
        return {
            "estimate": self._estimate(),
            "effective_sample_size": weights.effective_sample_size,
            "design_effect": weights.count / weights.effective_sample_size,
            "largest_weights": self._largest_weights(),
            "coverage": estimate.coverage(self.clustered.clusters, self.sample),
            "error": self._error(),
            "validation": None if self.validation is None else self.validation.describe(smoothness),
            "lengths": self._lengths(),
            "losses": self._losses(),
        }

    def _estimate(self) -> dict[str, Any] | None:
        if not self.informed:
            return None
        population_size, proxy = self.population.represented, self.scoring.proxy
        if self.subset_losses is not None:
            return estimate.estimate_from_subset(
                self.design, self.sample, self.subset_losses, population_size=population_size
            )
        if self.validation is None and len(proxy.probes) == 0:
            return None
        mean_proxy = total(Derived(np.multiply, proxy.values, self.population.stands_for)) / population_size
        if self.validation is not None:
            return estimate.estimate_from_validation(
                self.validation,
                mean_proxy,
                population_size=self.population.candidates.count,
                copies=self._validated_copies,
            )
        return estimate.estimate_from_probes(proxy, mean_proxy)

    def _error(self) -> dict[str, Any] | None:
        population_size, proxy, design = self.population.candidates.count, self.scoring.proxy, self.design
        if design.size >= population_size or not self.informed or not self.scoring.by_chance:
            return None  # the subset is the corpus; or nothing is known of the losses; or there is no design
        if self.validation is not None and estimate.suffices(self.validation, proxy):
            return estimate.forecast_from_validation(
                design,
                self.validation,
                population_size=population_size,
                copies=self._validated_copies,
                represented=self.population.represented,
            ).describe()
        if len(proxy.probes) == 0:
            return None
        return estimate.forecast_from_probes(
            design, proxy, self.population.stands_for, self.population.represented
        ).describe()

    @property
    def _validated_copies(self) -> Floats | None:
        if self.population.copies is None or self.validation is None:
            return None
        return self.population.copies[self.validation.positions].astype(np.float64)

    def _largest_weights(self) -> list[dict[str, Any]]:
        at, weights = estimate.largest_weights(self.sample), self.sample.weights
        files, rows_in_file = self.corpus.locate(self.rows[at])
        sum_of_weights = float(weights.sum())
        return [
            {
                "row": int(self.rows[i]),
                "file": os.fsencode(str(self.corpus.files[file].path)).decode("utf-8", "backslashreplace"),
                "row_in_file": int(row_in_file),
                "weight": float(weights[i]),
                "share": float(weights[i]) / sum_of_weights,
            }
            for i, file, row_in_file in zip(at.tolist(), files.tolist(), rows_in_file.tolist(), strict=True)
        ]

    def _lengths(self) -> dict[str, Any] | None:
        if self.clustered.lengths is None:
            return None
        return {"unit": "characters", **estimate.histogram(self.clustered.lengths, self.sample, logarithmic=True)}

    def _losses(self) -> dict[str, Any] | None:
        proxy = self.scoring.proxy
        if not self.informed or len(proxy.probes) == 0:
            return None
        return estimate.histogram(proxy.values, self.sample, logarithmic=False)
