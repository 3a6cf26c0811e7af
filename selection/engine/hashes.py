"""SHA-256 of files: by it a manifest vouches for what was read and written."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from tithe.selection.engine.threads import ordered_map
from tithe.selection.storage.places import Place, open_binary

_CHUNK = 1 << 20


def sha256(path: Place, advance: Callable[[int], object] = lambda count: None) -> str:
    """SHA-256 of a file's bytes, in hexadecimal; tells `advance` how many it has read. Raises OSError."""
    digest = hashlib.sha256()
    with open_binary(path) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            advance(len(chunk))
    return digest.hexdigest()


def sha256_of_all(paths: Sequence[Place], advance: Callable[[int], object]) -> list[str]:
    """The SHA-256 of several files, on all cores (hashing releases the GIL)."""
    return list(ordered_map(lambda path: sha256(path, advance), paths))
