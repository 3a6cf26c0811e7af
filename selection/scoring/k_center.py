"""`k-center`: the records farthest from one another (Sener & Savarese 2018), a baseline."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from tithe.selection.arrays import Floats, Positions
from tithe.selection.clustering.clustered_corpus import ClusteredCorpus
from tithe.selection.engine.distinct import distinct
from tithe.selection.engine.quantities import Among, Derived, Few, materialized
from tithe.selection.engine.seeds import Stream, generator
from tithe.selection.errors import UsageError
from tithe.selection.options.options import Options, flag_of
from tithe.selection.population.candidates import Candidates
from tithe.selection.sampling.registry import samplers_that_spread
from tithe.selection.scoring.base import Method, Scoring
from tithe.selection.scoring.proxy import Proxy
from tithe.selection.scoring.scores import Scores, distances_to_the_power

# Records that can be chosen: all of them would have to be in memory at once.
CANDIDATES = 50_000


class KCenter(Method):
    """Greedy farthest-point traversal, at most twice the optimal radius (Gonzalez 1985). No losses, all weights 1.

    Nothing is left to chance, so nothing can be said of what the subset stands for. In a corpus of more than
    CANDIDATES records, or 4 times the budget, the traversal is over a uniform sample of so many.
    """

    asks_for_losses = False
    why_not = "others are farther from one another"

    def __init__(self, options: Options, clustered: ClusteredCorpus) -> None:
        self._ground = clustered
        self._seed = options.cluster_seed
        self._spreads = distances_to_the_power(clustered.clusters.squared_distances, options.z)
        self.probes = np.empty(0, np.int64)

    def score(self, losses: Floats, candidates: Candidates) -> Scoring:
        count = candidates.count
        size = min(self._ground.plan.size, count)
        rng = generator(self._seed, Stream.CANDIDATES)
        among = candidates.nth(distinct(count, min(count, max(CANDIDATES, 4 * size)), rng))
        chosen = among[farthest_points(self._ground.vectors(among), size)]
        # With the spreads, which say where records are.
        is_chosen = Derived(lambda spread, one: one, self._spreads, Among(Few(np.sort(chosen)), len(candidates)))
        scores = materialized(is_chosen, np.float32)
        proxy = Proxy.ignorant(len(candidates))
        return Scoring(Scores(scores, 1.0, 0.0, 0.0), proxy, self._spreads, by_chance=False)

    @classmethod
    def check(cls, options: Options) -> None:
        super().check(options)
        name = f"--method {options.method}"
        chance = ("sampler", "keep_centers", "score_subset", "always", "group_by", "dedup", "dedup_near")
        given = [flag_of(field) for field in chance if options.is_given(field)]
        if given:
            raise UsageError(f"{name}: leaves nothing to chance; leave {' and '.join(given)} out")
        if len(options.fraction) > 1:
            raise UsageError(f"{name}: takes one --fraction")
        if options.tokens is not None:
            raise UsageError(f"--tokens: the budget is met by --sampler {samplers_that_spread()}, not by {name}")


def farthest_points(points: npt.NDArray[np.float32], count: int) -> Positions:
    """`count` of the points, shape (m, d), each the farthest from those before; the first is nearest to the mean."""
    squares = np.einsum("ij,ij->i", points, points)
    chosen = np.empty(count, np.int64)
    nearest = np.full(len(points), np.inf, np.float32)

    def squared_distances(to: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return squares - 2 * (points @ to) + to @ to

    with threadpool_limits(1):  # the number of threads must not change how BLAS rounds
        next_ = int(np.argmin(squared_distances(points.mean(axis=0))))
        for i in range(count):
            chosen[i] = next_
            np.minimum(nearest, squared_distances(points[next_]), out=nearest)
            nearest[next_] = -np.inf  # also where all others lie in the same place
            next_ = int(np.argmax(nearest))
    return chosen
