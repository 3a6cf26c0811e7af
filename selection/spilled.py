"""Arrays of one entry a record that lie on disk."""

from __future__ import annotations

import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tithe.selection.per_record import blocks


class Spilled:
    """An array in a file without a name, which goes with it: written from front to back, then read in parts.

    Read, not mapped: mapped pages would count as memory in use for as long as nothing else needs it.
    """

    def __init__(self, dtype: npt.DTypeLike, folder: Path | None) -> None:
        """`folder` says on which disk; None: that of the system's temporary files."""
        self._dtype = np.dtype(dtype)
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - open for as long as this object lives
        weakref.finalize(self, self._file.close)
        self._count = 0

    def append(self, values: npt.NDArray[Any]) -> None:
        """Add entries at the end."""
        self._file.seek(0, 2)
        self._file.write(np.ascontiguousarray(values, self._dtype).data)
        self._count += len(values)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, at: Any, /) -> npt.NDArray[Any]:
        """Of a slice, or at ascending positions."""
        if isinstance(at, slice):
            start, stop, _ = at.indices(self._count)
            self._file.seek(start * self._dtype.itemsize)
            return np.frombuffer(self._file.read((stop - start) * self._dtype.itemsize), self._dtype)
        found = np.empty(len(at), self._dtype)
        for part in blocks(self._count):
            first, last = np.searchsorted(at, [part.start, part.stop])
            if first < last:
                found[first:last] = self[part][at[first:last] - part.start]
        return found
