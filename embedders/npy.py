"""`npy:FILE`: vectors in a NumPy file, a row for each record in input order."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tithe.embedders.base import Reads, Request, Vectors, in_float32
from tithe.embedders.errors import EncoderError
from tithe.embedders.reading import open_regular


class NpyEncoder:
    """Reads rows of a memory-mapped array of shape (records of the corpus, d)."""

    fields: tuple[str, ...] = ()

    reads: ClassVar[Reads] = "file"

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with open_regular(path):
                array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise EncoderError(f"{path}: cannot be read as a .npy file ({error})") from error
        if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind not in "fiu" or not array.shape[1]:
            raise EncoderError(f"{path}: an array of numbers with two dimensions (records, d) is needed")
        self.rows = len(array)
        self._array = array

    def __reduce__(self) -> tuple[Any, ...]:
        return NpyEncoder, (self._path.absolute(),)  # another process maps the file itself, from another folder

    @classmethod
    def make(cls, request: Request) -> NpyEncoder:
        request.refuse("npy", argument=False)
        if not request.argument:
            raise EncoderError("--encoder npy: needs a file, as in npy:embeddings.npy")
        return cls(Path(request.argument))

    def identity(self) -> Mapping[str, Any]:
        digest = hashlib.sha256()
        with open_regular(self._path) as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
        return {"name": "npy", "sha256": digest.hexdigest()}

    def lookup(self, rows: npt.NDArray[np.int64], values: Mapping[str, Any]) -> Vectors:
        first, last = int(rows[0]), int(rows[-1])
        if last >= self.rows:
            raise EncoderError(f"{self._path}: has fewer rows ({self.rows}) than the corpus has records")
        part = self._array[first : last + 1]
        return in_float32(np.asarray(part if last - first + 1 == len(rows) else part[rows - first]))
