"""The embeddings of one encoder, found by the text that they were made of."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from tithe.selection.arrays import Rows, Vectors
from tithe.selection.embedding.key_index import KeyIndex
from tithe.selection.embedding.vector_shards import KEY_BYTES, Keys, Shards
from tithe.selection.options.choices import StoreDtype
from tithe.selection.storage.own_files import OwnPath

_BLOCK = 1 << 20


def text_keys(texts: Sequence[str]) -> Keys:
    """128 bits of the BLAKE2b of each text: shape (len(texts), 16)."""
    # Lone surrogates are no UTF-8, but JSON can write them.
    digests = [blake2b(text.encode("utf-8", "surrogatepass"), digest_size=KEY_BYTES).digest() for text in texts]
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, KEY_BYTES)


class VectorStore:
    """Vectors by key, in shards. What is damaged counts as missing. Two threads may find and append at once."""

    def __init__(
        self, folder: OwnPath, dtype: StoreDtype, *, notify: Callable[[str], object] = lambda line: None
    ) -> None:
        """Open the store that `folder` holds, or an empty one. Raises OSError."""
        self.folder = folder
        self._shards = Shards(folder, dtype, notify=notify)
        self._index: KeyIndex | None = None
        self.begun_with = 0
        """Vectors that there were before any was added."""
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        """Vectors, in all."""
        return self._shards.count

    @property
    def dimensions(self) -> int:
        """Of the vectors; 0 where there are none."""
        return self._shards.dimensions or 0

    def prepare_to_write(self) -> None:
        """Read the keys, and cut off what an interrupted run left; only for the one who holds the lock."""
        self._shards.cut_unfinished()
        self._index, self.begun_with = KeyIndex(), self.count
        start = 0
        for keys in self._shards.all_keys():
            self._index.add(_leading(keys), np.arange(start, start + len(keys)))
            start += len(keys)

    def find(self, keys: Keys) -> Rows:
        """The rows of the vectors with these keys, -1 where there is none, or none that is whole; shape (m,)."""
        assert self._index is not None, "prepare_to_write comes first"
        with self._lock:
            rows = self._index.find(_leading(keys))
            hits = np.flatnonzero(rows >= 0)
            if len(hits):
                # The index knows half of a key.
                same = (self._shards.keys(rows[hits]) == keys[hits]).all(axis=1)
                rows[hits[~same | ~self._shards.intact(rows[hits])]] = -1
            return rows

    def append(self, keys: Keys, vectors: Vectors) -> None:
        """Add vectors, shape (m, d), under their keys. Raises OSError; then none is added."""
        assert self._index is not None, "prepare_to_write comes first"
        with self._lock:
            start = self._shards.count
            self._shards.append(keys, vectors)
            self._index.add(_leading(keys), np.arange(start, start + len(keys)))

    def sync(self) -> None:
        """Wait until everything that was added is on disk. Raises OSError."""
        self._shards.sync()

    def finish_writing(self) -> None:
        """Forget the index."""
        self._index = None

    def read(self, rows: Rows) -> Vectors:
        """The vectors at `rows`, in any order; shape (m, d)."""
        return self._shards.vectors(rows)

    def keys(self, rows: Rows) -> Keys:
        """The keys of the vectors at `rows`, in any order; shape (m, 16)."""
        return self._shards.keys(rows)

    def holds(self, rows: Rows, advance: Callable[[int], object]) -> bool:
        """Whether there are whole vectors at all of the rows; tells `advance` how many it has looked at."""
        for start in range(0, len(rows), _BLOCK):
            block = np.asarray(rows[start : start + _BLOCK])
            if block.max() >= self.count or not self._shards.intact(block).all():
                return False
            advance(len(block))
        return True

    def close(self) -> None:
        """Close the files."""
        self._shards.close()


def _leading(keys: Keys) -> npt.NDArray[np.uint64]:
    return np.ascontiguousarray(keys).view(np.uint64)[:, 0]
