"""`--task regression`: rows that matter to a least-squares fit (Axiotis et al. 2024, section on linear regression).

What stays of the paper: a row is embedded as its standardised features and target; least squares on the k cluster
centres, each weighted by its cluster's size, gives a first fit x₀; p mixes a uniform part with what a row matters
under x₀; the subset is weighted by 1/π. What is ours, since measurements said so (tests/benchmarks/regression.py):

- The centres of this fit are the clusters' means. The losses of all rows under x₀ cost one pass, so that each row has
  its own residual instead of its centre's.
- To first order, least squares on a weighted subset errs by (XᵀX)⁻¹ Σ w_i x_i r_i, and its excess risk is
  ‖Σ w_i G^(-1/2) x_i r_i‖² / n with G = XᵀX. Hence a row matters by its influence √h_i |r_i|, h_i = x_iᵀ G⁻¹ x_i the
  leverage: π in proportion to it is optimal (Ma, Mahoney & Yu 2015; Wang, Zhu & Ma 2018). A part in proportion to h
  keeps the subset's G near that of all rows, and a uniform part bounds the weights.
- Rows are drawn along cells of like influence: the signs of r_i G^(-1/2) x_i in its leading coordinates (Charikar
  2002), in Gray-code order, so that what one row adds to the error, its neighbour would have added as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from tithe.selection.arrays import Floats, Vectors
from tithe.selection.clustering.clustered_corpus import ClusteredCorpus
from tithe.selection.clustering.order import stable_order
from tithe.selection.engine.quantities import Derived, Quantity, blocks, materialized, total, totals
from tithe.selection.options.options import Options
from tithe.selection.population.candidates import Candidates
from tithe.selection.scoring.base import Facts, Method, Scoring
from tithe.selection.scoring.proxy import Proxy
from tithe.selection.scoring.scores import Scores
from tithe.selection.sizes import counted

Cells = npt.NDArray[np.uint16]

# Shares of the score: influence, leverage, and what all rows have in common. No weight passes 10 times the mean.
INFLUENCE, LEVERAGE, UNIFORM = 0.5, 0.4, 0.1

# Coordinates whose signs make a cell.
_BITS = 12

# Directions of less than this part of the largest variance are taken for none: float32 knows no more of them.
_SMALLEST = 1e-6

# Rows for each unknown of the fit below which it is not much better than uniform or leverage sampling.
_ROWS_PER_UNKNOWN = 3


class Regression(Method):
    """Judges rows by their influence on a least-squares fit. No losses are asked for: the rows hold all there is."""

    FACTS: ClassVar[Facts] = {
        "unknowns": {"description": "regression: coefficients.", "type": "integer", "minimum": 0},
        "mean_squared_residual": {"description": "regression: of the first fit.", "type": "number"},
    }

    def __init__(self, options: Options, clustered: ClusteredCorpus) -> None:
        self._ground = clustered
        self.probes = np.empty(0, np.int64)

    def score(self, losses: Floats, candidates: Candidates) -> Scoring:
        clustered = self._ground
        gram, sums = _moments(clustered)
        sizes = totals(clustered.clusters.labels, clustered.clusters.k)
        with threadpool_limits(1):
            pilot = Pilot.of(gram, pilot_fit(sums / sizes[:, None], sizes))
        leverages, residuals, cells = clustered.of_vectors(pilot.measure, ("f4", "f4", "u2"))
        squares = total(Derived(lambda residual: np.square(residual, dtype=np.float64), residuals))
        influences = materialized(Derived(lambda h, r: np.sqrt(h) * np.abs(r), leverages, residuals), np.float32)
        n = len(candidates)
        scores = Scores(influence_scores(influences, leverages, candidates), 1.0, 0.0, UNIFORM)
        return Scoring(
            scores,
            Proxy.ignorant(n),
            leverages,
            order=stable_order(cells),
            notes=_notes(clustered.plan.size, unknowns=len(gram), records=n),
            facts={"unknowns": len(gram), "mean_squared_residual": squares / n},
        )


@dataclass(frozen=True)
class Pilot:
    """A linear map from a row to its whitened coordinates G^(-1/2) x and its residual under x₀."""

    shift: Vectors
    """Shape (b + 1,)."""
    transform: Vectors
    """Shape (d + 1, b + 1), from the features and the target."""

    @classmethod
    def of(cls, gram: Floats, fit: Floats) -> Pilot:
        """From G, shape (d + 1, d + 1), and x₀, shape (d + 1,), of (1, features)."""
        values, vectors = np.linalg.eigh(gram)
        kept = np.flatnonzero(values > _SMALLEST * values[-1])[::-1]
        whole = np.zeros((len(gram) + 1, len(kept) + 1))  # rows: 1, features, target
        whole[:-1, :-1] = vectors[:, kept] / np.sqrt(values[kept])
        whole[:-1, -1], whole[-1, -1] = -fit, 1.0
        return cls(whole[0].astype(np.float32), whole[1:].astype(np.float32))

    def measure(self, rows: Vectors) -> tuple[Vectors, Vectors, Cells]:
        """Leverage, residual and cell of rows of shape (m, d + 1); each of shape (m,)."""
        values = self.transform.T @ rows.T  # a coordinate lies in one piece: twice as fast
        values += self.shift[:, None]
        whitened, residual = values[:-1], values[-1]
        leverage = np.einsum("ij,ij->j", whitened, whitened)
        signs = np.signbit(whitened[:_BITS])
        cell = np.zeros(len(rows), np.uint16)
        for i, sign in enumerate(signs):
            cell |= sign.astype(np.uint16) << np.uint16(i)
        cell ^= np.signbit(residual) * np.uint16((1 << len(signs)) - 1)
        for shift in (1, 2, 4, 8):  # the place of the word in the reflected Gray code
            cell ^= cell >> np.uint16(shift)
        return leverage, residual, cell


def pilot_fit(centres: Floats, sizes: Floats) -> Floats:
    """x₀, shape (d + 1,): intercept and slopes of least squares on k centres (features, target), weighted by size."""
    root = np.sqrt(sizes)[:, None]
    design = np.hstack([np.ones_like(root), centres[:, :-1]])
    fit = np.linalg.lstsq(design * root, centres[:, -1] * root[:, 0], rcond=1e-9)[0]
    return fit.astype(np.float64, copy=False)


def influence_scores(influences: Vectors, leverages: Quantity, candidates: Candidates) -> Vectors:
    """Influence √h |r|, leverage h and 1, each over its mean over the candidates, in their shares; shape (n,).

    Rows that are no candidates get 0. Where all residuals are 0, leverage has the share of the influence, too.
    The result takes the place of `influences`.
    """
    mean, mean_leverage = (
        total(Derived(np.multiply, quantity, candidates)) / candidates.count for quantity in (influences, leverages)
    )
    share = INFLUENCE if mean > 0 else 0.0
    for part in blocks(len(influences)):
        found = influences[part].astype(np.float64) * (share / (mean or 1.0))
        found += leverages[part] * ((INFLUENCE + LEVERAGE - share) / (mean_leverage or 1.0))
        influences[part] = (found + UNIFORM) * candidates[part]
    return influences


def _notes(size: int, *, unknowns: int, records: int) -> tuple[str, ...]:
    enough = _ROWS_PER_UNKNOWN * unknowns
    if size >= min(enough, records):
        return ()
    return (
        f"regression: {counted(size, 'row is', 'rows are')} few for {counted(unknowns, 'unknown')}; "
        f"from {counted(enough, 'row')} on the subset can be relied on",
    )


def _moments(clustered: ClusteredCorpus) -> tuple[Floats, Floats]:
    """G = Σ (1, x)(1, x)ᵀ over all rows, and the sum of the rows of each cluster, shape (k, d + 1); one pass."""
    k, d = clustered.clusters.k, clustered.clusters.centre_vectors.shape[1] - 1

    def moments(block: Vectors, labels: npt.NDArray[np.int32]) -> Floats:
        design = block.astype(np.float64)
        design[:, -1] = 1.0  # where the target was
        sums = np.stack([np.bincount(labels, column, minlength=k).astype(np.float64) for column in block.T], axis=1)
        return np.concatenate([(design.T @ design).ravel(), sums.ravel()])

    found = clustered.summed(moments, clustered.clusters.labels)
    gram, sums = found[: (d + 1) ** 2], found[(d + 1) ** 2 :]
    # The 1 comes first, as the intercept does.
    first = np.r_[d, np.arange(d)]
    return gram.reshape(d + 1, d + 1)[np.ix_(first, first)], sums.reshape(k, d + 1)
