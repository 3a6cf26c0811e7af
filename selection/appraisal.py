"""The manifest's `evidence`: what the subset is worth, from whatever losses are known."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tithe.selection import evidence
from tithe.selection.corpus import Corpus
from tithe.selection.designs.base import Design
from tithe.selection.designs.sampling import Sample
from tithe.selection.frame.frame import Frame
from tithe.selection.groundwork import Groundwork
from tithe.selection.methods.base import Judgement
from tithe.selection.per_record import Derived, total
from tithe.selection.validation import Validation
from tithe.selection.weights import summarize

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Appraisal:
    """A selection, and the losses that are known for its appraisal."""

    corpus: Corpus
    ground: Groundwork
    frame: Frame
    """The records that the estimates are about."""
    judgement: Judgement
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
        smoothness = self.judgement.scores.smoothness
        return {
            "estimate": self._estimate(),
            "effective_sample_size": weights.effective_sample_size,
            "design_effect": weights.count / weights.effective_sample_size,
            "largest_weights": self._largest_weights(),
            "coverage": evidence.coverage(self.ground.clusters, self.sample),
            "error": self._error(),
            "validation": None if self.validation is None else self.validation.describe(smoothness),
            "lengths": self._lengths(),
            "losses": self._losses(),
        }

    def _estimate(self) -> dict[str, Any] | None:
        if not self.informed:
            return None
        population, proxy = self.frame.represented, self.judgement.proxy
        if self.subset_losses is not None:
            return evidence.estimate_from_subset(self.design, self.sample, self.subset_losses, population=population)
        if self.validation is None and len(proxy.probes) == 0:
            return None
        mean_proxy = total(Derived(np.multiply, proxy.values, self.frame.stands_for)) / population
        if self.validation is not None:
            return evidence.estimate_from_validation(
                self.validation, mean_proxy, population=self.frame.candidates.count, copies=self._validated_copies
            )
        return evidence.estimate_from_probes(proxy, mean_proxy)

    def _error(self) -> dict[str, Any] | None:
        population, proxy, design = self.frame.candidates.count, self.judgement.proxy, self.design
        if design.size >= population or not self.informed or not self.judgement.by_chance:
            return None  # the subset is the corpus; or nothing is known of the losses; or there is no design
        if self.validation is not None and evidence.suffices(self.validation, proxy):
            return evidence.forecast_from_validation(
                design,
                self.validation,
                population=population,
                copies=self._validated_copies,
                represented=self.frame.represented,
            ).describe()
        if len(proxy.probes) == 0:
            return None
        return evidence.forecast_from_probes(design, proxy, self.frame.stands_for, self.frame.represented).describe()

    @property
    def _validated_copies(self) -> Floats | None:
        if self.frame.copies is None or self.validation is None:
            return None
        return self.frame.copies[self.validation.positions].astype(np.float64)

    def _largest_weights(self) -> list[dict[str, Any]]:
        at, weights = evidence.largest_weights(self.sample), self.sample.weights
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
        if self.ground.lengths is None:
            return None
        return {"unit": "characters", **evidence.histogram(self.ground.lengths, self.sample, logarithmic=True)}

    def _losses(self) -> dict[str, Any] | None:
        proxy = self.judgement.proxy
        if not self.informed or len(proxy.probes) == 0:
            return None
        return evidence.histogram(proxy.values, self.sample, logarithmic=False)
