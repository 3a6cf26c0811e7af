"""Which clusters the subset stands for best and worst."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tithe.selection.review.report.files import Columns

SHOWN = 5

Numbers = npt.NDArray[np.int64]


def worst(clusters: Columns, shown: int = SHOWN) -> Numbers:
    """Positions of the clusters that most mass is missing from.

    Those without a selected record come first, the largest first; then those with the largest records - Σ weight.
    Clusters from which less than half a record is missing are not listed.
    """
    missing = clusters["records"] - clusters["weight"]
    order = np.lexsort((-missing, clusters["selected"] > 0))
    return order[missing[order] >= 0.5][:shown]


def best(clusters: Columns, shown: int = SHOWN) -> Numbers:
    """Positions of the clusters whose weights add up best to their number of records.

    Among clusters of at least average size with a selected record, those with the smallest |Σ weight / records - 1|;
    of equals, the larger. Small clusters are left out since they are right, or wrong, by chance. None that is among
    the worst comes back.
    """
    records = clusters["records"]
    candidates = np.flatnonzero((records >= records.mean()) & (clusters["selected"] > 0))
    candidates = np.setdiff1d(candidates, worst(clusters, shown))
    off = np.abs(clusters["weight"][candidates] / records[candidates] - 1)
    return candidates[np.lexsort((-records[candidates], off.round(9)))][:shown]
