"""The clusters file: for every cluster what it holds, what its centre lost, and what was drawn from it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tithe.selection.clustering.kmeans import Clustering
from tithe.selection.corpus.batch import BadRecord
from tithe.selection.corpus.corpus import Corpus
from tithe.selection.corpus.text import TextRule
from tithe.selection.engine.quantities import totals
from tithe.selection.scoring.proxy import Proxy
from tithe.selection.scoring.scores import distances_to_the_power
from tithe.selection.storage.own_files import OwnPath
from tithe.selection.subset.manifest import Outcome

EXCERPT = 300
"""Characters of a centre's text that the file holds."""


def clusters_table(corpus: Corpus, outcome: Outcome) -> pa.Table:
    """A row for each cluster, in their order."""
    clusters, sample, clustered = outcome.clustered.clusters, outcome.sample, outcome.clustered
    drawn = clusters.labels[sample.positions]
    rows = clustered.rows(clusters.centres)
    sizes = totals(clusters.labels, clusters.k)
    distances = totals(clusters.labels, clusters.k, distances_to_the_power(clusters.squared_distances, 1))
    proxies = totals(clusters.labels, clusters.k, outcome.scoring.proxy.values)
    x, y = in_two_dimensions(clusters.centre_vectors)
    proxy = outcome.scoring.proxy
    losses = _centre_losses(clusters, proxy) if outcome.losses_asked else [None] * clusters.k
    return pa.table(
        {
            "cluster": pa.array(np.arange(clusters.k), pa.int32()),
            "centre_row": pa.array(rows, pa.int64()),
            "records": pa.array(sizes.astype(np.int64)),
            "selected": pa.array(np.bincount(drawn, minlength=clusters.k), pa.int64()),
            "weight": pa.array(np.bincount(drawn, sample.weights, minlength=clusters.k)),
            "loss": pa.array(losses, pa.float64()),
            "proxy": pa.array(proxies / sizes),
            "mean_distance": pa.array(distances / sizes),
            "x": pa.array(x),
            "y": pa.array(y),
            "excerpt": pa.array(_excerpts(corpus, clustered.rule, rows), pa.string()),
        }
    )


def write_clusters(table: pa.Table, path: OwnPath) -> None:
    """Write the clusters file."""
    with path.create() as out:
        pq.write_table(table, out, compression="zstd")


def in_two_dimensions(
    vectors: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Coordinates along the two principal axes of vectors of shape (k, d); zeros for axes that they do not have."""
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    _, axes = np.linalg.eigh(centred.T @ centred)
    axes = axes[:, ::-1][:, :2]
    axes *= np.where(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])] < 0, -1.0, 1.0)  # one sign of two
    coordinates = np.zeros((len(vectors), 2))
    coordinates[:, : axes.shape[1]] = centred @ axes
    return coordinates[:, 0], coordinates[:, 1]


def _centre_losses(clusters: Clustering, proxy: Proxy) -> list[float | None]:
    """Losses of the centres, where they were asked for."""
    known = dict(zip(proxy.probes.tolist(), proxy.losses.tolist(), strict=True))
    return [known.get(centre) for centre in clusters.centres.tolist()]


def _excerpts(corpus: Corpus, rule: TextRule | None, rows: npt.NDArray[np.int64]) -> list[str | None]:
    if rule is None:
        return [None] * len(rows)
    ascending = np.argsort(rows)
    found: list[str | None] = [None] * len(rows)
    for at, text in zip(ascending.tolist(), _texts(corpus, rule, rows[ascending]), strict=True):
        found[at] = text[:EXCERPT]
    return found


def _texts(corpus: Corpus, rule: TextRule, rows: npt.NDArray[np.int64]) -> Iterator[str]:
    for batch in corpus.take(rows, rule.fields):
        for record in batch.records():
            assert not isinstance(record, BadRecord), "a centre is a usable record"
            yield rule.text(record)
