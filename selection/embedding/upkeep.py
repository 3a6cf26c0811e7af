"""What lies in a work folder: listed, verified, pruned."""

from __future__ import annotations

import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tithe.selection.embedding.vector_shards import Shards
from tithe.selection.embedding.work_folder import KEY, LOCK, MARKER, VECTORS, is_entry, is_whole, key_of, remove
from tithe.selection.errors import TitheError
from tithe.selection.sizes import counted
from tithe.selection.storage.locks import locked
from tithe.selection.storage.own_files import NotOurs, OwnPath

Advance = Callable[[int], object]


@dataclass(frozen=True)
class Item:
    """The vectors of an encoder, or what was made of a corpus."""

    path: OwnPath
    kind: str
    """`embeddings`, `records`, `centroids` or `clusters`."""
    size: int
    """Bytes on disk."""
    used: float
    """When it was last used, in seconds since 1970."""
    key: dict[str, Any]
    """What it was made of; empty where it does not carry that, and may not be ours."""

    def describe(self) -> str:
        """In a few words."""
        if not self.key:
            return "does not carry its key"
        if self.kind == VECTORS:
            encoder = self.key.get("encoder", {})
            name = " ".join(str(encoder[field]) for field in ("name", "model") if field in encoder)
            return f"{name or '?'}, {self.key.get('dtype', '?')}"
        inputs = self.key.get("embeddings", self.key).get("inputs", [])
        clusters = f", {counted(self.key['clusters'], 'cluster')}" if "clusters" in self.key else ""
        return f"of {counted(len(inputs), 'file')}{clusters}"


def items(folder: Path) -> list[Item]:
    """What `folder` holds, the last used first. Raises NotOurs where it is no work folder."""
    work = OwnPath(folder)
    MARKER.check(work)
    vectors = work / VECTORS
    paths = [work / name for name in work.names() if is_entry(name)]
    paths += [vectors / name for name in vectors.names()] if vectors.status() is not None else []
    found = (_item(path) for path in paths if path.is_folder())
    return sorted(found, key=lambda item: (-item.used, item.path.parts))


def verify(folder: Path, notify: Callable[[str], object], advance: Advance) -> int:
    """Check every checksum; returns how many items are damaged. `notify` is told of each, `advance` of the bytes read.

    What is damaged needs no care: the next run that needs it makes it anew.
    """
    damaged = 0
    with using(folder, shared=True):
        for item in items(folder):
            told = _damage(item)
            for line in told:
                notify(line)
            damaged += bool(told)
            advance(item.size)
    return damaged


def prune(folder: Path, *, unused_days: float | None = None, max_size: int | None = None) -> list[Item]:
    """Remove what was not used for `unused_days`, then the longest unused until `max_size` bytes are left at most.

    Neither given, remove everything. What does not carry its key is left alone. Returns what was removed. Raises
    TitheError where a run is using the folder, or it is no work folder.
    """
    with using(folder, shared=False):
        found = [item for item in items(folder) if item.key]
        gone = found if unused_days is None and max_size is None else []
        if unused_days is not None:
            gone = [item for item in found if item.used < time.time() - 86400 * unused_days]
        if max_size is not None:
            kept = [item for item in found if item not in gone]
            total = np.cumsum([item.size for item in kept])
            gone = gone + [item for item, size in zip(kept, total, strict=True) if size > max_size]
        for item in gone:
            remove(item.path)
    return gone


@contextmanager
def using(folder: Path, *, shared: bool) -> Iterator[None]:
    """Keep runs of tithe from changing `folder`, or from using it at all, while the block runs.

    Raises TitheError where there is no such folder, or it is no work folder, and unless `shared` where a run uses it.
    """
    if not folder.is_dir():
        raise TitheError(f"{folder}: there is no such folder; nothing has been kept")
    MARKER.claim(OwnPath(folder))
    try:
        with locked(OwnPath(folder) / LOCK, shared=shared):
            yield
    except BlockingIOError as error:
        raise TitheError(f"{folder}: a run of tithe is using it; try again when it has ended") from error


def _item(path: OwnPath) -> Item:
    kind = path.name.rpartition("-")[0] if is_entry(path.name) else VECTORS
    statuses = {name: (path / name).status() for name in path.names()}
    size = sum(status.st_size for status in statuses.values() if status and stat.S_ISREG(status.st_mode))
    key_file = statuses.get(KEY)
    return Item(path, kind, size, key_file.st_mtime if key_file else 0.0, key_of(path) or {})


def _damage(item: Item) -> list[str]:
    """What is damaged, a line each."""
    told: list[str] = []
    try:
        if not item.key:
            told.append(f"{item.path}: {item.describe()}")
        elif item.kind == VECTORS:
            _check_shards(item, told.append)
        elif not is_whole(item.path):
            told.append(f"{item.path}: is damaged")
    except NotOurs as error:
        told.append(str(error))
    return told


def _check_shards(item: Item, notify: Callable[[str], object]) -> None:
    dtype = item.key.get("dtype")
    if dtype not in ("float16", "float32"):
        notify(f"{item.path / KEY}: is damaged")
        return
    shards = Shards(item.path, dtype, notify=notify)
    try:
        for start in range(0, shards.count, 1 << 20):
            shards.intact(np.arange(start, min(start + (1 << 20), shards.count)))
    finally:
        shards.close()
