"""`uniform`: all records alike."""

from __future__ import annotations

import numpy as np

from tithe.selection.frame.candidates import Candidates
from tithe.selection.groundwork import Groundwork
from tithe.selection.methods.base import Floats, Judgement, Method
from tithe.selection.options import Options
from tithe.selection.per_record import Derived, worked_out
from tithe.selection.proxy import Proxy
from tithe.selection.sensitivity import Scores, distances_to_the_power


class Uniform(Method):
    """Equal scores, no losses. Spread over the clusters by `pivotal`; a simple random sample with `simple`."""

    asks_for_losses = False

    def __init__(self, options: Options, ground: Groundwork) -> None:
        self._spreads = distances_to_the_power(ground.clusters.squared_distances, options.z)
        self.probes = np.empty(0, np.int64)

    def judge(self, losses: Floats, candidates: Candidates) -> Judgement:
        alike = Derived(lambda spread, candidate: candidate, self._spreads, candidates)
        scores = Scores(worked_out(alike, np.float32), 1.0, 0.0, 1.0)
        return Judgement(scores, Proxy.ignorant(len(candidates)), self._spreads)
