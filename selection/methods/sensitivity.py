"""`sensitivity`: sampling by sensitivity over a clustering (Axiotis et al. 2024)."""

from __future__ import annotations

from typing import ClassVar

from tithe.selection.designs.registry import SAMPLERS
from tithe.selection.frame.candidates import Candidates
from tithe.selection.groundwork import Groundwork
from tithe.selection.methods.base import Facts, Floats, Judgement, Method
from tithe.selection.options import Options
from tithe.selection.per_record import Derived
from tithe.selection.proxy import CentreLosses, Proxy, auto_lambda, smoothed, verbatim
from tithe.selection.sensitivity import UNIFORM_SHARE, distances_to_the_power, score


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

    def __init__(self, options: Options, ground: Groundwork) -> None:
        self._options = options
        self._clusters = ground.clusters
        self._printed = SAMPLERS[options.sampler].as_printed
        self.probes = ground.clusters.centres

    def judge(self, losses: Floats, candidates: Candidates) -> Judgement:
        clusters, options = self._clusters, self._options
        found = self._centre_losses(losses)
        proxy = self._proxy(found)
        smoothness = options.smoothness
        if smoothness is None:
            smoothness = auto_lambda(clusters.centre_vectors, losses, z=options.z)
        spreads = distances_to_the_power(clusters.squared_distances, options.z)
        uniform_share = 0.0 if self._printed else UNIFORM_SHARE
        scores = score(proxy.values, spreads, candidates, smoothness=smoothness, uniform_share=uniform_share)
        return Judgement(scores, proxy, spreads, facts=found.describe())

    def proxy(self, losses: Floats) -> Proxy:
        """What the losses of the probes, shape (k,), say about every record: the part of `judge` that costs little."""
        return self._proxy(self._centre_losses(losses))

    def _centre_losses(self, losses: Floats) -> CentreLosses:
        return (verbatim if self._printed else smoothed)(self._clusters.centre_vectors, losses)

    def _proxy(self, found: CentreLosses) -> Proxy:
        labels = self._clusters.labels
        values = Derived(lambda part: found.values[part], labels)
        return Proxy(self.probes, "centres", labels, found.losses, found.left_out, values)
