"""`uniform`: all records alike."""

from __future__ import annotations

import numpy as np

from tithe.selection.arrays import Floats
from tithe.selection.clustering.clustered_corpus import ClusteredCorpus
from tithe.selection.engine.quantities import Derived, materialized
from tithe.selection.options.options import Options
from tithe.selection.population.candidates import Candidates
from tithe.selection.scoring.base import Method, Scoring
from tithe.selection.scoring.proxy import Proxy
from tithe.selection.scoring.scores import Scores, distances_to_the_power


class Uniform(Method):
    """Equal scores, no losses. Spread over the clusters by `pivotal`; a simple random sample with `simple`."""

    asks_for_losses = False

    def __init__(self, options: Options, clustered: ClusteredCorpus) -> None:
        self._spreads = distances_to_the_power(clustered.clusters.squared_distances, options.z)
        self.probes = np.empty(0, np.int64)

    def score(self, losses: Floats, candidates: Candidates) -> Scoring:
        alike = Derived(lambda spread, candidate: candidate, self._spreads, candidates)
        scores = Scores(materialized(alike, np.float32), 1.0, 0.0, 1.0)
        return Scoring(scores, Proxy.ignorant(len(candidates)), self._spreads)
