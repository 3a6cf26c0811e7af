"""`auto`: sensitivity or low-rank, by which of them says more about records that it was not asked about."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np

from tithe.selection.arrays import Floats
from tithe.selection.clustering.clustered_corpus import ClusteredCorpus
from tithe.selection.errors import UsageError
from tithe.selection.options.options import Options
from tithe.selection.population.candidates import Candidates
from tithe.selection.scoring.base import Facts, Method, Scoring
from tithe.selection.scoring.low_rank import LowRank
from tithe.selection.scoring.proxy import Proxy
from tithe.selection.scoring.sensitivity import Sensitivity
from tithe.selection.sizes import counted

# Low-rank must be better by so much: the clusters are what the sample is spread over in any case.
_MARGIN = 0.95


class Auto(Method):
    """Asks for the losses of the centres and of the landmarks, and compares both methods on the landmarks.

    The clusters' proxies have not seen the landmarks; the fit of `low-rank` predicts each from the others. Squared
    errors are weighed by the inverse of a landmark's inclusion probability, so that they stand for all records.
    """

    takes_rank = True
    FACTS: ClassVar[Facts] = {
        "chosen": {"description": "auto: what was chosen.", "type": "string"},
        "errors_on_landmarks": {
            "description": "auto: root mean squared errors of both.",
            "type": "object",
            "additionalProperties": {"type": "number"},
        },
        "reason": {"description": "auto: why.", "type": "string"},
    }

    def __init__(self, options: Options, clustered: ClusteredCorpus) -> None:
        self._ground = clustered
        self._sensitivity, self._low_rank = Sensitivity(options, clustered), LowRank(options, clustered)
        self.probes = np.union1d(self._sensitivity.probes, self._low_rank.probes)

    def score(self, losses: Floats, candidates: Candidates) -> Scoring:
        of_centres, of_landmarks = (
            losses[np.searchsorted(self.probes, method.probes)] for method in (self._sensitivity, self._low_rank)
        )
        chosen, name = self._low_rank.score(of_landmarks, candidates), "low-rank"
        errors = self._errors(self._sensitivity.proxy(of_centres), chosen.proxy)
        if errors["low_rank"] >= _MARGIN * errors["sensitivity"]:
            del chosen  # there is no room for the scores of both
            chosen, name = self._sensitivity.score(of_centres, candidates), "sensitivity"
        reason = self._reason(errors)
        facts = {**chosen.facts, "chosen": name, "errors_on_landmarks": errors, "reason": reason}
        return replace(chosen, notes=(f"method: {name}; {reason}", *chosen.notes), facts=facts)

    @classmethod
    def check(cls, options: Options) -> None:
        super().check(options)
        if options.loss == "none":
            raise UsageError(f"--method {options.method}: chooses by losses; name their source with --loss")

    def _errors(self, of_clusters: Proxy, of_directions: Proxy) -> dict[str, float]:
        """Root mean squared errors of both proxies over the records, from the landmarks that are no centres."""
        landmarks = self._low_rank.probes
        new = ~np.isin(landmarks, self._sensitivity.probes)
        if not new.any():
            return {"sensitivity": 0.0, "low_rank": 0.0}
        weights = 1.0 / self._low_rank.landmark_probabilities[new]
        losses = of_directions.losses[new]

        def error(predicted: Floats) -> float:
            return float(np.sqrt(np.average((losses - predicted) ** 2, weights=weights)))

        return {
            "sensitivity": error(of_clusters.values[landmarks[new]]),
            "low_rank": error(of_directions.left_out[new]),
        }

    def _reason(self, errors: dict[str, float]) -> str:
        clustered, basis = self._ground, self._low_rank.basis
        held = 1.0 - clustered.clusters.cost / basis.total if basis.total > 0 else 1.0
        return (
            f"losses of landmarks are predicted to ± {errors['sensitivity']:.3g} by the clusters and to "
            f"± {errors['low_rank']:.3g} by the leading directions; "
            f"{counted(clustered.clusters.k, 'cluster holds', 'clusters hold')} {held:.0%} "
            f"of the squared norms, {counted(basis.rank, 'direction')} {basis.share:.0%}"
        )
