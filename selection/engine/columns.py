"""Columns: arrays of one number for each record, in memory while they are small, then in a file that goes with them.

A file of a column has no name, lies in the folder of the run and is mapped: what is not looked at needs no memory.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from tithe.selection.arrays import Column
from tithe.selection.errors import TitheError

# Bytes of a column that is held in memory, at most.
IN_MEMORY = 32 << 20

_FOLDER: ContextVar[Path | None] = ContextVar("folder of columns", default=None)


@contextmanager
def columns_in(folder: Path) -> Iterator[None]:
    """Let large columns that are made while the block runs lie in `folder`, not in the system's temporary one."""
    token = _FOLDER.set(folder)
    try:
        yield
    finally:
        _FOLDER.reset(token)


def new_column(records: int, dtype: npt.DTypeLike) -> Column:
    """A column of zeros, shape (records,). Raises TitheError where there is no room for it."""
    size = records * np.dtype(dtype).itemsize
    if size <= IN_MEMORY:
        return np.zeros(records, dtype)
    with _reported(), _file() as file:
        # Reserved at once: a full disk would kill a process that writes to a mapped file.
        os.posix_fallocate(file.fileno(), 0, size)
        return np.memmap(file, dtype, "r+", shape=(records,))


def column_of(parts: Iterable[npt.NDArray[Any]], dtype: npt.DTypeLike) -> Column:
    """The parts as one column, one after the other. Raises TitheError where there is no room for it."""
    writer = ColumnWriter(dtype)
    for part in parts:
        writer.append(part)
    return writer.column()


class ColumnWriter:
    """A column that is written from front to back, of a length that is not known before."""

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self._dtype = np.dtype(dtype)
        self._held: list[npt.NDArray[Any]] = []
        self._bytes = 0
        self._file: IO[bytes] | None = None

    def append(self, values: npt.NDArray[Any]) -> None:
        """Add values at the end. Raises TitheError where there is no room for them."""
        values = values.astype(self._dtype, copy=False)
        self._held.append(values)
        self._bytes += values.nbytes
        if self._bytes > IN_MEMORY:
            with _reported():
                if self._file is None:
                    self._file = _file()
                for held in self._held:
                    self._file.write(np.ascontiguousarray(held).data)
            self._held = []

    def column(self) -> Column:
        """All that was written; nothing may be added any more."""
        if self._file is None:
            return self._held[0] if len(self._held) == 1 else np.concatenate([np.empty(0, self._dtype), *self._held])
        with _reported(), self._file as file:
            file.flush()
            return np.memmap(file, self._dtype, "r+")


def _file() -> IO[bytes]:
    return tempfile.TemporaryFile(dir=_FOLDER.get())


@contextmanager
def _reported() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        folder = _FOLDER.get() or tempfile.gettempdir()
        raise TitheError(f"{folder}: cannot be written to ({error.strerror}); make room, and run again") from error
