"""`sensitivity`: sampling by sensitivity over a clustering (Axiotis et al. 2024)."""

from __future__ import annotations

from tithe.selection.groundwork import Groundwork
from tithe.selection.methods.base import Floats, Judgement, Mask
from tithe.selection.options import Options
from tithe.selection.proxy import Proxy, auto_lambda, smoothed, verbatim
from tithe.selection.sensitivity import UNIFORM_SHARE, distances_to_the_power, score


class Sensitivity:
    """Asks for the losses of the k cluster centres; a record is judged by its cluster and its distance.

    With the sampler `iid` this is Algorithm 1 as printed; otherwise losses of neighbouring centres are smoothed, and
    a part of the score is shared by all records.
    """

    def __init__(self, options: Options, ground: Groundwork) -> None:
        self._options = options
        self._clusters = ground.clusters
        self.probes = ground.clusters.centres

    def judge(self, losses: Floats, candidates: Mask) -> Judgement:
        """See Method."""
        clusters, options = self._clusters, self._options
        printed = options.sampler == "iid"
        found = (verbatim if printed else smoothed)(clusters.centre_vectors, losses)
        proxy = Proxy(self.probes, "centres", clusters.labels, losses, found.left_out, found.values[clusters.labels])
        smoothness = options.smoothness
        if smoothness is None:
            smoothness = auto_lambda(clusters.centre_vectors, losses, z=options.z)
        spreads = distances_to_the_power(clusters.squared_distances, options.z)
        scores = score(
            proxy.values,
            spreads,
            candidates,
            smoothness=smoothness,
            uniform_share=0.0 if printed else UNIFORM_SHARE,
        )
        return Judgement(scores, proxy, spreads, facts=found.describe())
