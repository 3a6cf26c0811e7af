"""`low-rank`: sampling by a low-rank structure of the embeddings (Cohen-Addad et al. 2026, arXiv 2606.16045)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from threadpoolctl import threadpool_limits

from tithe.selection.arrays import Floats, Labels, Vectors
from tithe.selection.clustering.clustered_corpus import ClusteredCorpus
from tithe.selection.clustering.nearest import search_all
from tithe.selection.engine.seeds import Stream, generator
from tithe.selection.options.options import Options
from tithe.selection.population.candidates import Candidates
from tithe.selection.sampling.probabilities import draw_pivotal, inclusion_probabilities
from tithe.selection.sampling.registry import SAMPLERS
from tithe.selection.scoring.base import Facts, Method, Scoring
from tithe.selection.scoring.proxy import Proxy, slope_above_zero
from tithe.selection.scoring.scores import UNIFORM_SHARE, sensitivity_scores
from tithe.selection.sizes import counted

# Directions are taken until they hold this share of the squared norms ...
_SHARE = 0.9
# ... but no more than one for so many landmarks, from whose losses theirs are worked out.
_LANDMARKS_PER_DIRECTION = 4

# Ridge penalties tried, in units of the largest squared singular value of the features.
_PENALTIES = np.geomspace(1e-6, 1e2, 33)


class LowRank(Method):
    """Judges a record by its components along the leading directions of all embeddings, and by what they leave over.

    With v_1 .. v_r the leading right singular vectors of the embeddings, e = Σ α_i v_i + r(e), the score of a record
    is ℓ̂(e) + λ ‖r(e)‖², ℓ̂(e) = Σ α_i² ℓ(v_i): that of the paper with γ = 0, as in its experiments. No v_i is a
    record that could be asked about; so the losses of k landmarks, drawn in proportion to their leverage scores
    Σ α_i² / σ_i², are asked for, and ℓ̂ is fitted to them (see `fit`).
    """

    takes_rank = True
    FACTS: ClassVar[Facts] = {
        "rank": {"description": "low-rank: directions.", "type": "integer", "minimum": 0},
        "share_of_squared_norms": {"description": "low-rank: what they hold.", "type": "number"},
        "penalty": {
            "description": "low-rank: ridge penalty of the fit of the losses; null: nothing was fitted.",
            "type": ["number", "null"],
        },
    }

    def __init__(self, options: Options, clustered: ClusteredCorpus) -> None:
        self._options = options
        self._ground = clustered
        n, k = clustered.records, clustered.clusters.k
        gram = clustered.summed(lambda block: (block.T @ block).astype(np.float64))
        self.basis = basis = leading_directions(gram, rank=options.rank, landmarks=k)

        def look(block: Vectors) -> tuple[Floats, Floats]:
            features = basis.features(block)
            return features[:, :-1] @ (1.0 / basis.squared_singular_values), features[:, -1]

        leverages, self._spreads = clustered.of_vectors(look, ("f4", "f4"))
        rng = generator(options.cluster_seed, Stream.LANDMARKS)
        landmarks = draw_pivotal(inclusion_probabilities(leverages, min(k, n)), clustered.order, rng)
        self.probes, self.landmark_probabilities = landmarks.positions, landmarks.probabilities

    def score(self, losses: Floats, candidates: Candidates) -> Scoring:
        found, proxy = self._fitted(losses)
        smoothness = self._options.smoothness
        if smoothness is None and losses.min() < losses.max():
            smoothness = slope_above_zero(self._spreads[self.probes], np.abs(losses - found.left_out))
        uniform_share = 0.0 if SAMPLERS[self._options.sampler].as_printed else UNIFORM_SHARE
        scores = sensitivity_scores(
            proxy.values, self._spreads, candidates, smoothness=smoothness, uniform_share=uniform_share
        )
        facts = {"rank": self.basis.rank, "share_of_squared_norms": self.basis.share, "penalty": found.penalty}
        return Scoring(scores, proxy, self._spreads, notes=self._notes(), facts=facts)

    def _notes(self) -> tuple[str, ...]:
        asked, rank = self._options.rank, self.basis.rank
        if asked is None or asked <= rank:
            return ()
        return (f"--rank {asked:,}: the embeddings have no more than {counted(rank, 'direction')}",)

    def _fitted(self, losses: Floats) -> tuple[Fit, Proxy]:
        """The fit to the losses of the landmarks, and what it says about every record: one pass, onto disk."""
        vectors = self._ground.vectors(self.probes)
        found = fit(self.basis.features(vectors), losses)
        landmarks = self.basis.components(vectors)

        basis = self.basis

        def look(block: Vectors) -> tuple[Floats, Labels]:
            return found(basis.features(block)), search_all(basis.components(block), landmarks)[0]

        values, nearest = self._ground.of_vectors(look, ("f4", "i4"))
        return found, Proxy(self.probes, "landmarks", nearest, losses, found.left_out, values)


@dataclass(frozen=True)
class Basis:
    """The leading right singular vectors of the embeddings."""

    directions: Vectors
    """Shape (d, r), orthonormal columns, the leading first."""
    squared_singular_values: Floats
    """Shape (r,)."""
    total: float
    """Sum of the squared norms of all embeddings."""

    @property
    def rank(self) -> int:
        return self.directions.shape[1]

    @property
    def share(self) -> float:
        """Share of the squared norms that the directions hold."""
        return float(self.squared_singular_values.sum()) / self.total if self.total > 0 else 1.0

    def components(self, vectors: Vectors) -> Vectors:
        """α of each vector, shape (m, r)."""
        return vectors @ self.directions

    def features(self, vectors: Vectors) -> Floats:
        """α² of each vector and, in the last column, the squared norm that they leave over; shape (m, r + 1)."""
        squares = np.square(self.components(vectors), dtype=np.float64)
        norms = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)
        left = np.maximum(norms - squares.sum(axis=1), 0.0)
        return np.column_stack([squares, left])


def leading_directions(gram: Floats, *, rank: int | None, landmarks: int) -> Basis:
    """The `rank` leading eigenvectors of Σ e eᵀ, shape (d, d); of 0 eigenvalues none.

    Without a rank, as many as hold 90% of the squared norms, but at most one for 4 landmarks, and at least one.
    """
    with threadpool_limits(1):
        values, vectors = np.linalg.eigh(gram)
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    total = float(values.sum())
    if rank is None:
        enough = int(np.searchsorted(np.cumsum(values), _SHARE * total)) + 1
        rank = min(enough, max(1, landmarks // _LANDMARKS_PER_DIRECTION))
    kept = max(1, min(rank, int(np.count_nonzero(values > 1e-12 * total))))
    values = np.maximum(values[:kept], np.finfo(np.float32).tiny)  # below it, a sum of squares in float32 is none
    return Basis(vectors[:, :kept].astype(np.float32), values, total)


@dataclass(frozen=True)
class Fit:
    """ℓ̂ as a function of the features."""

    intercept: float
    slopes: Floats
    low: float
    high: float
    penalty: float | None
    """Of the ridge; None where the best fit is the mean."""
    left_out: Floats
    """What the other landmarks say about each landmark, shape (m,)."""

    def __call__(self, features: Floats) -> Floats:
        """ℓ̂ for features of shape (n, r + 1), within the range of the landmarks' losses: shape (n,)."""
        return np.clip(self.intercept + features @ self.slopes, self.low, self.high)


def fit(features: Floats, losses: Floats) -> Fit:
    """Ridge regression of the landmarks' losses on their features, the penalty by leave-one-out.

    It is the paper's kernel ridge regression with the kernel under which every fit has the form of the score: for
    vectors of length 1, whose features sum up to 1, ℓ(v_i) is the intercept plus slope i, and the last one belongs
    to all directions that were left out. Directions that few landmarks share are drawn to the mean the most.

    Args:
        features: those of the landmarks, shape (m, r + 1).
        losses: theirs, shape (m,).
    """
    m = len(losses)
    low, high, mean = float(losses.min()), float(losses.max()), float(losses.mean())
    others = (losses.sum() - losses) / max(m - 1, 1)
    flat = Fit(mean, np.zeros(features.shape[1]), low, high, None, others if m > 1 else losses)
    if m < 3 or low == high:
        return flat
    centre = features.mean(axis=0)
    with threadpool_limits(1):
        left, values, right = np.linalg.svd(features - centre, full_matrices=False)
        if values[0] == 0:
            return flat
        rotated = left.T @ (losses - mean)
        best, error = flat, float(((losses - others) ** 2).mean())
        for penalty in values[0] ** 2 * _PENALTIES:
            kept = values**2 / (values**2 + penalty)
            residual = losses - mean - left @ (kept * rotated)
            leverage = 1 / m + np.square(left) @ kept
            residual = residual / np.maximum(1 - leverage, 1e-6)
            if (found := float((residual**2).mean())) < error:
                error = found
                slopes = right.T @ (values / (values**2 + penalty) * rotated)
                intercept = mean - float(centre @ slopes)
                best = Fit(intercept, slopes, low, high, float(penalty), losses - residual)
    return best
