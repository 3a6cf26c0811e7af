"""The rows file: for every selected record where it came from and why it weighs what it does."""

from __future__ import annotations

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tithe.selection.corpus.corpus import Corpus
from tithe.selection.storage.own_files import OwnPath
from tithe.selection.subset.manifest import Outcome


def rows_table(corpus: Corpus, outcome: Outcome) -> pa.Table:
    """A row for each selected record, in input order, with its number of copies where the subset repeats records."""
    clusters, sample, at = outcome.clustered.clusters, outcome.sample, outcome.sample.positions
    files, rows_in_file = corpus.locate(outcome.rows)
    names = pa.array([os.fsencode(str(file.path)).decode("utf-8", "backslashreplace") for file in corpus.files])
    table = pa.table(
        {
            "file": pa.DictionaryArray.from_arrays(pa.array(files, pa.int32()), names).cast(pa.string()),
            "row_in_file": pa.array(rows_in_file, pa.int64()),
            "row": pa.array(outcome.rows, pa.int64()),
            "cluster": pa.array(clusters.labels[at], pa.int32()),
            "is_centre": pa.array(clusters.centres[clusters.labels[at]] == at),
            "distance": pa.array(np.sqrt(clusters.squared_distances[at].astype(np.float64))),
            "score": pa.array(outcome.scoring.scores.at(at)),
            "inclusion_probability": pa.array(sample.probabilities),
            "weight": pa.array(sample.weights),
        }
    )
    if outcome.clustered.tokens is not None:
        table = table.append_column("tokens", pa.array(outcome.clustered.tokens[at].astype(np.int64)))
    return table if outcome.repeats is None else table.append_column("copies", pa.array(outcome.repeats))


def write_rows(table: pa.Table, path: OwnPath) -> None:
    """Write the rows file."""
    with path.create() as out:
        pq.write_table(table, out, compression="zstd")
