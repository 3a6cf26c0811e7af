"""Records in another order than that in which they are read, and some of them several times.

They are written to a nameless file in the run's own folder first, and read from there: only a part is in memory at a
time.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tithe.selection.corpus.parquet import taken
from tithe.selection.storage.own_files import OwnPath

Order = npt.NDArray[np.int64]

# Lines of a block at most, and bytes of one, about.
_BLOCK = 4096
_BLOCK_BYTES = 16 << 20


def lines_in_order(lines: Iterable[bytes], order: Order, folder: OwnPath) -> Iterator[bytes]:
    """The lines of the numbers `order`; `folder` says on which disk they lie meanwhile."""
    with folder.nameless() as file:
        lengths = np.fromiter((file.write(line) for line in lines), np.int64)
        file.flush()
        starts = np.cumsum(lengths) - lengths
        for first in range(0, len(order), _BLOCK):
            block = order[first : first + _BLOCK]
            for start, length in zip(starts[block].tolist(), lengths[block].tolist(), strict=True):
                yield os.pread(file.fileno(), length, start)


def batches_in_order(batches: Iterable[pa.RecordBatch], order: Order, folder: OwnPath) -> Iterator[pa.RecordBatch]:
    """The rows of the numbers `order`, in batches; `folder` says on which disk they lie meanwhile."""
    ends, rows = [0], [0]
    with folder.nameless() as file:
        for batch in batches:
            # A stream for each batch: the dictionaries of one stream would have to be the same throughout.
            with pa.ipc.new_stream(file, batch.schema) as writer:
                writer.write_batch(batch)
            ends.append(file.tell())
            rows.append(rows[-1] + batch.num_rows)
        file.flush()
        mapped = pa.py_buffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    held = [pa.ipc.open_stream(mapped.slice(start, end - start)).read_next_batch() for start, end in pairwise(ends)]
    block = max(1, min(_BLOCK, _BLOCK_BYTES * rows[-1] // ends[-1]))
    for first in range(0, len(order), block):
        wanted, back = np.unique(order[first : first + block], return_inverse=True)
        cuts = np.searchsorted(wanted, rows)
        parts = [
            taken(held[number], wanted[low:high] - rows[number])
            for number, (low, high) in enumerate(pairwise(cuts.tolist()))
            if low < high
        ]
        yield taken(pa.Table.from_batches(parts).combine_chunks().to_batches()[0], back)
