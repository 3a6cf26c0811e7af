"""`sensitivity`: sampling by sensitivity over a clustering (Axiotis et al. 2024)."""

from __future__ import annotations

from typing import ClassVar

from tithe.selection.arrays import Floats
from tithe.selection.clustering.clustered_corpus import ClusteredCorpus
from tithe.selection.engine.quantities import Derived
from tithe.selection.options.options import Options
from tithe.selection.population.candidates import Candidates
from tithe.selection.sampling.registry import SAMPLERS
from tithe.selection.scoring.base import Facts, Method, Scoring
from tithe.selection.scoring.proxy import CentreLosses, Proxy, auto_lambda, smoothed, verbatim
from tithe.selection.scoring.scores import UNIFORM_SHARE, distances_to_the_power, sensitivity_scores


class Sensitivity(Method):
    """Asks for the losses of the k cluster centres; a record is judged by its cluster and its distance.

    With the sampler `iid` this is Algorithm 1 as printed; otherwise losses of neighbouring centres are smoothed, and
    a part of the score is shared by all records.
    """

    FACTS: ClassVar[Facts] = {
        "shrinkage": {"description": "sensitivity: part of the centres' differences that is kept.", "type": "number"},
        "far_out": {
            "description": "sensitivity: centres whose loss is far out, and kept.",
            "type": "integer",
            "minimum": 0,
        },
    }

    def __init__(self, options: Options, clustered: ClusteredCorpus) -> None:
        self._options = options
        self._clusters = clustered.clusters
        self._printed = SAMPLERS[options.sampler].as_printed
        self.probes = clustered.clusters.centres

    def score(self, losses: Floats, candidates: Candidates) -> Scoring:
        clusters, options = self._clusters, self._options
        found = self._centre_losses(losses)
        proxy = self._proxy(found)
        smoothness = options.smoothness
        if smoothness is None:
            smoothness = auto_lambda(clusters.centre_vectors, losses, z=options.z)
        spreads = distances_to_the_power(clusters.squared_distances, options.z)
        uniform_share = 0.0 if self._printed else UNIFORM_SHARE
        scores = sensitivity_scores(
            proxy.values, spreads, candidates, smoothness=smoothness, uniform_share=uniform_share
        )
        return Scoring(scores, proxy, spreads, facts=found.describe())

    def proxy(self, losses: Floats) -> Proxy:
        """What the losses of the probes, shape (k,), say about every record: the part of `score` that costs little."""
        return self._proxy(self._centre_losses(losses))

    def _centre_losses(self, losses: Floats) -> CentreLosses:
        return (verbatim if self._printed else smoothed)(self._clusters.centre_vectors, losses)

    def _proxy(self, found: CentreLosses) -> Proxy:
        labels = self._clusters.labels
        values = Derived(lambda part: found.values[part], labels)
        return Proxy(self.probes, "centres", labels, found.losses, found.left_out, values)
