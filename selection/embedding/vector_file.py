"""Vectors that are parsed out of records once and then read as often as the clustering needs, never all in memory."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from tithe.selection.arrays import Vectors
from tithe.selection.storage.npy import map_numbers
from tithe.selection.storage.own_files import OwnPath

# Records a search handles at once. Fixed: BLAS rounds the rows at the edge of a block differently.
BLOCK = 16_384


class VectorFile:
    """Rows of float32 in one plain file, appended in order and read back in blocks of BLOCK rows.

    A context manager while it is written; read it afterwards.
    """

    def __init__(self, path: OwnPath) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self.count = 0
        self.dimensions = 0

    @classmethod
    def written(cls, path: OwnPath, count: int, dimensions: int) -> VectorFile:
        """A file that was written before."""
        file = cls(path)
        file.count, file.dimensions = count, dimensions
        return file

    def append(self, vectors: Vectors) -> None:
        """Add rows of shape (m, d); d is that of the first call."""
        assert self._file is not None, "a spool is a context manager while it is written"
        self.dimensions = vectors.shape[1]
        self._file.write(np.ascontiguousarray(vectors, np.float32).data)
        self.count += len(vectors)

    def __enter__(self) -> VectorFile:
        self._file = self._path.create()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the writing."""
        assert self._file is not None
        self._file.close()

    def blocks(self) -> Iterator[Vectors]:
        """All rows, in blocks of BLOCK rows (the last one shorter)."""
        with self._path.open() as file:
            for start in range(0, self.count, BLOCK):
                block = np.empty((min(BLOCK, self.count - start), self.dimensions), np.float32)
                file.readinto(block.data)  # type: ignore[arg-type]
                yield block

    def read(self, rows: npt.NDArray[np.int64]) -> Vectors:
        """Some rows, shape (len(rows), d)."""
        if not self.count:
            return np.empty((0, self.dimensions), np.float32)
        return np.array(map_numbers(self._path, np.float32).reshape(self.count, self.dimensions)[rows])
