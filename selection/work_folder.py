"""The work folder: embeddings and clusters that later runs find again by what they were made of.

An entry is a folder named by its kind and a hash of everything that it depends on: a changed input, text rule,
encoder or seed gives another name, never a stale entry. Entries appear whole or not at all.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tithe.selection.errors import TitheError
from tithe.selection.whole import sync

_KEY = "key.json"
_LOCK = "lock"


@dataclass(frozen=True)
class WorkFolder:
    """A folder of entries."""

    path: Path
    kept: bool
    """Whether it outlives the run: then entries are on disk before they get their name."""

    def find(self, kind: str, key: Mapping[str, Any]) -> Path | None:
        """The entry made of `key`, or None."""
        entry = self._entry(kind, key)
        return entry if entry.is_dir() else None

    @contextmanager
    def adding(self, kind: str, key: Mapping[str, Any]) -> Iterator[Path]:
        """A new folder to fill; it becomes the entry `find(kind, key)` when the block ends without an exception."""
        entry = self._entry(kind, key)
        partial = entry.with_name(entry.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        try:
            yield partial
            (partial / _KEY).write_text(_canonical(key) + "\n", encoding="utf-8")
            if self.kept:
                for file in (*partial.iterdir(), partial):
                    sync(file)
            partial.replace(entry)
            if self.kept:
                sync(self.path)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise

    def _entry(self, kind: str, key: Mapping[str, Any]) -> Path:
        return self.path / f"{kind}-{hashlib.sha256(_canonical(key).encode()).hexdigest()[:32]}"


@contextmanager
def open_work_folder(path: Path) -> Iterator[WorkFolder]:
    """The user's work folder, made where it is missing and locked while the block runs.

    Raises TitheError where it cannot be made or another run has it.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        raise TitheError(f"--work-dir {path}: cannot be written ({error.strerror})") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise TitheError(f"--work-dir {path}: another run of tithe is using it") from error
        for left in path.glob("*.partial"):  # of runs that were killed
            shutil.rmtree(left, ignore_errors=True)
        yield WorkFolder(path, kept=True)
    finally:
        os.close(lock)


def _canonical(key: Mapping[str, Any]) -> str:
    return json.dumps(key, sort_keys=True, separators=(",", ":"))
