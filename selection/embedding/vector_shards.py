"""Shards: files of keyed vectors that are appended to and never changed.

A shard is a sequence of frames, each a header, `count` keys of 16 bytes and `count` vectors. The header carries its
own checksum and that of what follows. A run that is killed leaves at most one unfinished frame, the last one of the
last shard; whoever writes next cuts it off. Until then shards are only open to be read.
"""

from __future__ import annotations

import os
import re
import struct
import weakref
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from tithe.selection.arrays import Rows, Vectors
from tithe.selection.engine.threads import ordered_map
from tithe.selection.errors import TitheError
from tithe.selection.options.choices import StoreDtype
from tithe.selection.storage.own_files import OwnPath

Keys = npt.NDArray[np.uint8]

KEY_BYTES = 16

_MAGIC = b"TSH1"
_HEADER = struct.Struct("<4sIII16sI")  # magic, count, dimensions, bytes of a number, checksum, checksum of these

# A shard that is this long gets no more frames.
SHARD_BYTES = 1 << 30

_NAME = re.compile(r"(\d{6,})\.shard")


@dataclass(frozen=True)
class _Frame:
    shard: int
    offset: int
    """Of the header in the shard's file."""
    count: int
    start: int
    """Row of its first vector."""

    @property
    def keys(self) -> int:
        return self.offset + _HEADER.size

    @property
    def vectors(self) -> int:
        return self.keys + self.count * KEY_BYTES


class Shards:
    """The shards of a folder. Rows number the vectors of all frames, in the order of writing."""

    def __init__(self, folder: OwnPath, dtype: StoreDtype, *, notify: Callable[[str], object]) -> None:
        """Open what is there. `notify` is told of what is damaged, a line each. Raises NotOurs for links."""
        self._folder = folder
        self._dtype = np.dtype(dtype)
        self._notify = notify
        self._files: list[int] = []
        weakref.finalize(self, _close, self._files)
        self._writing: int | None = None
        """Of the last shard, once it is written to."""
        self._paths: list[OwnPath] = []
        self._ends: list[int] = []
        self._frames: list[_Frame] = []
        self._starts: Rows | None = None
        self._checked: dict[int, bool] = {}
        self.count = 0
        self.dimensions: int | None = None
        for name in sorted(filter(_NAME.fullmatch, folder.names())):
            self._scan(folder / name)

    def close(self) -> None:
        """Close the files."""
        self._end_writing()
        _close(self._files)

    def cut_unfinished(self) -> None:
        """Cut off what follows the last whole frame of each shard. Only for the one who may write."""
        for path, file, end in zip(self._paths, self._files, self._ends, strict=True):
            if os.fstat(file).st_size > end and _has_one_name(file):
                writing = path.descriptor(os.O_WRONLY)
                try:
                    os.ftruncate(writing, end)
                finally:
                    os.close(writing)

    def append(self, keys: Keys, vectors: Vectors) -> None:
        """Add a frame: keys of shape (m, 16), vectors of shape (m, d), m >= 1. After an OSError nothing is added."""
        self.dimensions = self.dimensions or vectors.shape[1]
        assert vectors.shape == (len(keys), self.dimensions) and len(keys)
        content = keys.tobytes() + _converted(vectors, self._dtype).tobytes()
        head = _HEADER.pack(_MAGIC, len(keys), self.dimensions, self._dtype.itemsize, _digest(content), 0)
        head = head[:-4] + struct.pack("<I", zlib.crc32(head[:-4]))
        if not self._ends or self._ends[-1] >= SHARD_BYTES or not _has_one_name(self._files[-1]):
            self._begin_shard()
        if self._writing is None:
            self._writing = self._paths[-1].descriptor(os.O_WRONLY)
        file, end = self._writing, self._ends[-1]
        try:
            _write(file, head + content, end)
        except OSError:
            os.ftruncate(file, end)
            raise
        self._add_frame(end, len(keys), len(head) + len(content))

    def sync(self) -> None:
        """Wait until the last shard is on disk."""
        if self._files:
            os.fsync(self._files[-1])

    def keys(self, rows: Rows) -> Keys:
        """The keys at `rows`, in any order: shape (m, 16)."""
        return self._gather(rows, KEY_BYTES, lambda population: population.keys).view(np.uint8)

    def vectors(self, rows: Rows) -> Vectors:
        """The vectors at `rows`, in any order: shape (m, d)."""
        if self.dimensions is None:
            return np.empty((0, 0), np.float32)
        width = self.dimensions * self._dtype.itemsize
        found = self._gather(rows, width, lambda population: population.vectors)
        return found.view(self._dtype).astype(np.float32, copy=False)

    def all_keys(self) -> Iterable[Keys]:
        """The keys of each frame, in the order of the rows."""
        for population in self._frames:
            content = os.pread(self._files[population.shard], population.count * KEY_BYTES, population.keys)
            yield np.frombuffer(content, np.uint8).reshape(-1, KEY_BYTES)

    def intact(self, rows: Rows) -> npt.NDArray[np.bool_]:
        """Which of the rows lie in frames whose checksum is right; each frame is read once for it."""
        frames = self._frames_of(rows)
        distinct = np.unique(frames)
        new = [number for number in distinct.tolist() if number not in self._checked]
        for number, right in zip(new, ordered_map(self._is_right, new), strict=True):
            self._checked[number] = right
            if not right:
                population = self._frames[number]
                path = self._paths[population.shard]
                self._notify(f"{path}: {population.count:,} embeddings are damaged, and are made anew")
        right = np.array([self._checked[number] for number in distinct.tolist()], bool)
        return right[np.searchsorted(distinct, frames)]

    def _scan(self, path: OwnPath) -> None:
        """Take in the frames of a shard, as far as their headers are whole."""
        self._open(path, os.O_RDONLY)
        size = os.fstat(self._files[-1]).st_size
        while (offset := self._ends[-1]) < size:
            head = os.pread(self._files[-1], _HEADER.size, offset)
            length, count, dimensions = _parsed(head, self._dtype.itemsize)
            right = length and offset + length <= size and self.dimensions in (None, dimensions)
            if not right:
                self._notify(f"{path}: ends in {size - offset:,} damaged or half-written bytes, which are made anew")
                break
            self.dimensions = dimensions
            self._add_frame(offset, count, length)

    def _begin_shard(self) -> None:
        last = _NAME.fullmatch(self._paths[-1].name) if self._paths else None
        self._end_writing()
        self._open(self._folder / f"{int(last[1]) + 1 if last else 0:06d}.shard", os.O_RDONLY | os.O_CREAT | os.O_EXCL)

    def _end_writing(self) -> None:
        if self._writing is not None:
            os.close(self._writing)
            self._writing = None

    def _open(self, path: OwnPath, flags: int) -> None:
        self._files.append(path.descriptor(flags))
        self._paths.append(path)
        self._ends.append(0)

    def _add_frame(self, offset: int, count: int, length: int) -> None:
        self._frames.append(_Frame(len(self._files) - 1, offset, count, self.count))
        self._ends[-1] = offset + length
        self.count += count
        self._starts = None

    def _frames_of(self, rows: Rows) -> Rows:
        if self._starts is None:
            self._starts = np.array([population.start for population in self._frames], np.int64)
        return np.searchsorted(self._starts, rows, side="right") - 1

    def _gather(self, rows: Rows, width: int, base: Callable[[_Frame], int]) -> npt.NDArray[np.uint8]:
        """`width` bytes for each row: shape (m, width). Runs of rows in one frame are read at once."""
        order = None if np.all(rows[1:] > rows[:-1]) else np.argsort(rows, kind="stable")
        ascending = rows if order is None else rows[order]
        frames = self._frames_of(ascending)
        found = np.empty((len(rows), width), np.uint8)
        ends = np.flatnonzero((np.diff(ascending) != 1) | (np.diff(frames) != 0)) + 1
        for first, last in pairwise([0, *ends.tolist(), len(rows)]):
            if first == last:
                continue
            population = self._frames[frames[first]]
            place = base(population) + (int(ascending[first]) - population.start) * width
            read = os.preadv(self._files[population.shard], [found[first:last].data], place)
            if read != (last - first) * width:
                raise OSError(5, "is shorter than it was", str(self._paths[population.shard]))
        if order is not None:
            unordered = found
            found = np.empty_like(unordered)
            found[order] = unordered
        return found

    def _is_right(self, number: int) -> bool:
        population = self._frames[number]
        assert self.dimensions is not None
        head = os.pread(self._files[population.shard], _HEADER.size, population.offset)
        length = population.count * (KEY_BYTES + self.dimensions * self._dtype.itemsize)
        content = os.pread(self._files[population.shard], length, population.keys)
        return len(content) == length and _digest(content) == _HEADER.unpack(head)[4]


def _close(files: list[int]) -> None:
    while files:
        os.close(files.pop())


def _converted(vectors: Vectors, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    with np.errstate(over="ignore"):
        converted = np.ascontiguousarray(vectors, dtype)
    if dtype == np.float16 and not np.isfinite(converted).all():
        raise TitheError("--store-dtype float16: an embedding has a number beyond 65,504; use float32")
    return converted


def _parsed(head: bytes, itemsize: int) -> tuple[int, int, int]:
    """Length of the frame, number and dimensions of its vectors; zeros where the header is damaged."""
    if len(head) < _HEADER.size:
        return 0, 0, 0
    magic, count, dimensions, found, _, checksum = _HEADER.unpack(head)
    if magic != _MAGIC or found != itemsize or zlib.crc32(head[:-4]) != checksum:
        return 0, 0, 0
    return _HEADER.size + count * (KEY_BYTES + dimensions * itemsize), count, dimensions


def _write(file: int, content: bytes, offset: int) -> None:
    view = memoryview(content)
    while view:
        written = os.pwrite(file, view, offset)
        view, offset = view[written:], offset + written


def _has_one_name(file: int) -> bool:
    """Whether a file has no other name: under that, it may be a backup's, or anybody's."""
    return os.fstat(file).st_nlink == 1


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=16).digest()
