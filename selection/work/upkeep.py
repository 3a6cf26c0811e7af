"""What lies in a work folder: listed, verified, pruned."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tithe.selection.errors import TitheError
from tithe.selection.sizes import counted
from tithe.selection.work.folder import KEY, LOCK, VECTORS, is_whole
from tithe.selection.work.locks import locked
from tithe.selection.work.shards import Shards

Advance = Callable[[int], object]


@dataclass(frozen=True)
class Item:
    """The vectors of an encoder, or what was made of a corpus."""

    path: Path
    kind: str
    """`embeddings`, `records`, `centroids` or `clusters`."""
    size: int
    """Bytes on disk."""
    used: float
    """When it was last used, in seconds since 1970."""
    key: dict[str, Any]
    """What it was made of; empty where that cannot be read."""

    def describe(self) -> str:
        """In a few words."""
        if self.kind == VECTORS:
            encoder = self.key.get("encoder", {})
            name = " ".join(str(encoder[field]) for field in ("name", "model") if field in encoder)
            return f"{name or '?'}, {self.key.get('dtype', '?')}"
        inputs = self.key.get("embeddings", self.key).get("inputs", [])
        clusters = f", {counted(self.key['clusters'], 'cluster')}" if "clusters" in self.key else ""
        return f"of {counted(len(inputs), 'file')}{clusters}"


def items(folder: Path) -> list[Item]:
    """What `folder` holds, the last used first."""
    paths = [path.parent for path in folder.glob(f"*/{KEY}")] + [
        path.parent for path in folder.glob(f"{VECTORS}/*/{KEY}")
    ]
    return sorted((_item(path) for path in paths), key=lambda item: (-item.used, item.path))


def verify(folder: Path, notify: Callable[[str], object], advance: Advance) -> int:
    """Check every checksum; returns how many items are damaged. `notify` is told of each, `advance` of the bytes read.

    What is damaged needs no care: the next run that needs it makes it anew.
    """
    damaged = 0
    with using(folder, shared=True):
        for item in items(folder):
            if item.kind == VECTORS:
                told: list[str] = []
                _check_shards(item, told.append)
                for line in told:
                    notify(line)
                damaged += bool(told)
            elif not is_whole(item.path):
                notify(f"{item.path}: is damaged")
                damaged += 1
            advance(item.size)
    return damaged


def prune(folder: Path, *, unused_days: float | None = None, max_size: int | None = None) -> list[Item]:
    """Remove what was not used for `unused_days`, then the longest unused until `max_size` bytes are left at most.

    Neither given, remove everything. Returns what was removed. Raises TitheError where a run is using the folder.
    """
    with using(folder, shared=False):
        found = items(folder)
        gone = found if unused_days is None and max_size is None else []
        if unused_days is not None:
            gone = [item for item in found if item.used < time.time() - 86400 * unused_days]
        if max_size is not None:
            kept = [item for item in found if item not in gone]
            total = np.cumsum([item.size for item in kept])
            gone = gone + [item for item, size in zip(kept, total, strict=True) if size > max_size]
        for item in gone:
            shutil.rmtree(item.path)
    return gone


@contextmanager
def using(folder: Path, *, shared: bool) -> Iterator[None]:
    """Keep runs of tithe from changing `folder`, or from using it at all, while the block runs.

    Raises TitheError where there is no such folder, and unless `shared` where a run is using it.
    """
    if not folder.is_dir():
        raise TitheError(f"{folder}: there is no such folder; nothing has been kept")
    try:
        with locked(folder / LOCK, shared=shared):
            yield
    except BlockingIOError as error:
        raise TitheError(f"{folder}: a run of tithe is using it; try again when it has ended") from error


def _item(path: Path) -> Item:
    try:
        key = json.loads((path / KEY).read_text(encoding="utf-8"))["key"]
    except (OSError, ValueError, LookupError, TypeError):
        key = {}
    kind = VECTORS if path.parent.name == VECTORS else path.name.rpartition("-")[0]
    size = sum(file.stat().st_size for file in path.iterdir())
    return Item(path, kind, size, (path / KEY).stat().st_mtime, key if isinstance(key, dict) else {})


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
