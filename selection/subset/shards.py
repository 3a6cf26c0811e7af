"""The subset as a folder of shards, one for each partition of the corpus that a record was drawn from.

Whoever works on a partition writes its shard into the run's own folder, which all machines must share.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tithe.selection.arrays import Counts, Rows, Weights
from tithe.selection.corpus.inputs import Format
from tithe.selection.corpus.partitions import Partition
from tithe.selection.embedding.lookup import Embedded
from tithe.selection.embedding.remote_corpus import RemoteCorpus
from tithe.selection.engine.stages import Advance
from tithe.selection.errors import TitheError
from tithe.selection.options.choices import WeightsAs
from tithe.selection.storage.own_files import OwnPath
from tithe.selection.subset.shapes import line_order
from tithe.selection.subset.shard_names import shard_name
from tithe.selection.subset.writer import write_subset


def write_shards(
    corpus: RemoteCorpus,
    rows: Rows,
    weights: Weights,
    *,
    folder: OwnPath,
    format: Format,
    weight_column: str,
    weights_as: WeightsAs,
    repeats: Counts | None,
    seed: tuple[int, ...],
) -> None:
    """Write the records at `rows` (ascending, shape (s,)) with their `weights` into a new folder; see write_subset.

    `repeats` say how often each of them comes; then the lines of a shard are in random order, by `seed`.
    """
    folder.make()
    if repeats is not None:
        rows, weights, repeats = rows[repeats > 0], weights[repeats > 0], repeats[repeats > 0]
    writer = _Writer(folder.absolute(), format, weight_column, weights_as, seed)
    calls = (
        (partition, known, first, writer, rows[some], weights[some], None if repeats is None else repeats[some])
        for partition, known, first, some in corpus.in_partitions(rows)
    )
    for shard in corpus.executor.map(_write_shard, calls):
        if (folder / shard).status() is None:
            raise TitheError(f"{folder.parent}: is not shared by all machines of the cluster; name another with -o")
    folder.sync()


@dataclass(frozen=True)
class _Writer:
    """What all shards have in common."""

    folder: OwnPath
    format: Format
    weight_column: str
    weights_as: WeightsAs
    seed: tuple[int, ...]


def _write_shard(
    partition: Partition,
    known: Embedded,
    first_row: int,
    writer: _Writer,
    rows: Rows,
    weights: Weights,
    repeats: Counts | None,
    *,
    advance: Advance,
) -> str:
    corpus = partition.corpus(first_row)
    corpus.remember_rows(known.file_rows)
    path = writer.folder / shard_name(partition.number, writer.format)
    if not writer.folder.is_folder():
        raise TitheError(
            f"{writer.folder}: is not found by every worker; -o must lie in a folder that all of them share"
        )
    lines = None
    if repeats is not None:
        lines = line_order(repeats, np.random.default_rng([*writer.seed, partition.number]))
    path.unlink()  # unfinished, by somebody who was lost
    write_subset(
        corpus,
        rows,
        weights,
        path=path,
        format=writer.format,
        compression=None,
        weight_column=writer.weight_column,
        weights_as=writer.weights_as,
        lines=lines,
    )
    path.sync()
    return path.name
