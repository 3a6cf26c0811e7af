"""`auto`: sensitivity or low-rank, by which of them says more about records that it was not asked about."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tithe.selection.groundwork import Groundwork
from tithe.selection.methods.base import Floats, Judgement, Mask
from tithe.selection.methods.low_rank import LowRank
from tithe.selection.methods.sensitivity import Sensitivity
from tithe.selection.options import Options

# Low-rank must be better by so much: the clusters are what the sample is spread over in any case.
_MARGIN = 0.95


class Auto:
    """Asks for the losses of the centres and of the landmarks, and compares both methods on the landmarks.

    The clusters' proxies have not seen the landmarks; the fit of `low-rank` predicts each from the others. Squared
    errors are weighed by the inverse of a landmark's inclusion probability, so that they stand for all records.
    """

    def __init__(self, options: Options, ground: Groundwork) -> None:
        self._ground = ground
        self._sensitivity, self._low_rank = Sensitivity(options, ground), LowRank(options, ground)
        self.probes = np.union1d(self._sensitivity.probes, self._low_rank.probes)

    def judge(self, losses: Floats, candidates: Mask) -> Judgement:
        """See Method."""
        of_clusters, of_directions = (
            method.judge(losses[np.searchsorted(self.probes, method.probes)], candidates)
            for method in (self._sensitivity, self._low_rank)
        )
        errors = self._errors(of_clusters, of_directions)
        by_directions = errors["low_rank"] < _MARGIN * errors["sensitivity"]
        chosen = of_directions if by_directions else of_clusters
        name = "low-rank" if by_directions else "sensitivity"
        reason = self._reason(errors)
        facts = {**chosen.facts, "chosen": name, "errors_on_landmarks": errors, "reason": reason}
        return replace(chosen, notes=(f"method: {name}; {reason}",), facts=facts)

    def _errors(self, of_clusters: Judgement, of_directions: Judgement) -> dict[str, float]:
        """Root mean squared errors of both proxies over the records, from the landmarks that are no centres."""
        landmarks, proxy = self._low_rank.probes, of_directions.proxy
        new = ~np.isin(landmarks, self._sensitivity.probes)
        if not new.any():
            return {"sensitivity": 0.0, "low_rank": 0.0}
        weights = 1.0 / self._low_rank.landmark_probabilities[landmarks[new]]
        losses = proxy.losses[new]

        def error(predicted: Floats) -> float:
            return float(np.sqrt(np.average((losses - predicted) ** 2, weights=weights)))

        return {
            "sensitivity": error(of_clusters.proxy.values[landmarks[new]]),
            "low_rank": error(proxy.left_out[new]),
        }

    def _reason(self, errors: dict[str, float]) -> str:
        ground, basis = self._ground, self._low_rank.basis
        held = 1.0 - ground.clusters.cost / basis.total if basis.total > 0 else 1.0
        return (
            f"losses of landmarks are predicted to ± {errors['sensitivity']:.3g} by the clusters and to "
            f"± {errors['low_rank']:.3g} by the leading directions; {ground.clusters.k} clusters hold {held:.0%} "
            f"of the squared norms, {basis.rank} directions {basis.share:.0%}"
        )
