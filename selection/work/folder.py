"""The work folder: embeddings by text, and what was made of a whole corpus by everything that it was made of.

`embeddings/HASH/` holds the vectors of one encoder (see vectors.py). `records-HASH/`, `centroids-HASH/` and
`clusters-HASH/` are entries, named by a hash of all that they depend on: a changed input, text rule, encoder or seed
gives another name, never a stale entry. Entries appear whole or not at all.

Every run holds a shared lock on the folder, so that nothing is pruned under it; whoever embeds holds a lock on the
encoder's vectors, and others with the same encoder wait.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tithe.selection.errors import TitheError
from tithe.selection.whole import sync, write_whole
from tithe.selection.work.locks import locked
from tithe.selection.work.shards import StoreDtype
from tithe.selection.work.vectors import VectorStore

Notify = Callable[[str], object]

KEY = "key.json"
LOCK = "lock"
VECTORS = "embeddings"

_PARTIAL = ".partial"


@dataclass(frozen=True)
class WorkFolder:
    """A folder of vectors and entries."""

    path: Path
    kept: bool
    """Whether it outlives the run: then entries are on disk before they get their name."""
    notify: Notify = lambda line: None
    """Told of damage, and of waiting."""
    stores: ExitStack = field(default_factory=ExitStack)
    """Closes the vectors at the end."""

    @cached_property
    def scratch(self) -> Path:
        """A folder for what only this run needs, removed at its end; by its full path, for other processes."""
        with writing(self.path):
            folder = Path(tempfile.mkdtemp(_PARTIAL, "run.", self.path.absolute()))
        self.stores.callback(shutil.rmtree, folder, ignore_errors=True)
        return folder

    def find(self, kind: str, key: Mapping[str, Any]) -> Path | None:
        """The entry made of `key`, or None."""
        entry = self.path / _name(kind, key)
        if not entry.is_dir():
            return None
        if not is_whole(entry):
            self.notify(f"{entry}: is damaged, and is made anew")
            return None
        _touch(entry)
        return entry

    @contextmanager
    def adding(self, kind: str, key: Mapping[str, Any]) -> Iterator[Path]:
        """A new folder to fill; it becomes the entry `find(kind, key)` when the block ends without an exception."""
        entry = self.path / _name(kind, key)
        with writing(self.path):
            partial = Path(tempfile.mkdtemp(_PARTIAL, entry.name + ".", self.path))
        try:
            yield partial
            with writing(self.path):
                checksums = {file.name: _checksum(file) for file in sorted(partial.iterdir())}
                about = {"key": key, "checksums": checksums}
                (partial / KEY).write_text(_canonical(about) + "\n", encoding="utf-8")
                if self.kept:
                    for file in (*partial.iterdir(), partial):
                        sync(file)
                shutil.rmtree(entry, ignore_errors=True)  # another run may have been as fast; or it is damaged
                partial.replace(entry)
                if self.kept:
                    sync(self.path)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise

    @contextmanager
    def vectors(self, key: Mapping[str, Any], dtype: StoreDtype) -> Iterator[VectorStore]:
        """The vectors of the encoder that `key` describes, to read and to add to; others wait for the end of the block.

        The store stays open for reading after it.
        """
        folder = self._vectors_folder(key)
        with writing(self.path):
            folder.mkdir(parents=True, exist_ok=True)

        def waiting() -> None:
            self.notify(f"waiting for another run of tithe, which embeds with the same encoder into {folder}")

        with locked(folder / LOCK, waiting=waiting):
            with writing(self.path):
                write_whole(folder / KEY, (_canonical({"key": key}) + "\n").encode())
            store = self._opened(folder, dtype)
            store.prepare_to_write()
            yield store
            with writing(self.path):
                store.finish_writing()

    def kept_vectors(self, key: Mapping[str, Any], dtype: StoreDtype) -> VectorStore | None:
        """The same to read, where there are any."""
        folder = self._vectors_folder(key)
        if not (folder / KEY).exists():
            return None
        _touch(folder)
        return self._opened(folder, dtype)

    def _opened(self, folder: Path, dtype: StoreDtype) -> VectorStore:
        store = VectorStore(folder, dtype, notify=self.notify)
        self.stores.callback(store.close)
        return store

    def _vectors_folder(self, key: Mapping[str, Any]) -> Path:
        return self.path / VECTORS / _hash(key)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn an OSError of the block into a TitheError that says what to do."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise TitheError(
            f"{folder}: cannot be written to ({reason}); make room, or name another folder with --work-dir, and run "
            "again: what was embedded is kept"
        ) from error


def default_folder() -> Path:
    """The user's cache folder for tithe. Raises RuntimeError where there is no home folder."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if named.is_absolute():  # any other is to be ignored, as the XDG says
        return named / "tithe"
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "tithe"


@contextmanager
def open_work_folder(path: Path | None, *, spare: Path, notify: Notify) -> Iterator[WorkFolder]:
    """The user's work folder, made where it is missing, and kept from being pruned while the block runs.

    None stands for `default_folder()`; where that cannot be written to, the folder `spare` takes its place, which
    does not outlive the run. Raises TitheError where `path` cannot be written to.
    """
    try:
        folder = default_folder() if path is None else path
        folder.mkdir(parents=True, exist_ok=True)
        _check_writable(folder)
        _sweep(folder)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        if path is not None:
            raise TitheError(f"--work-dir {path}: cannot be written to ({reason})") from error
        notify(f"embeddings are not kept: the cache folder cannot be written to ({reason}); --work-dir names another")
        with ExitStack() as stores:
            yield WorkFolder(spare, False, notify, stores)
        return

    def waiting() -> None:
        notify(f"waiting for another run of tithe, which tidies {folder}")

    with locked(folder / LOCK, shared=True, waiting=waiting), ExitStack() as stores:
        yield WorkFolder(folder, True, notify, stores)


def is_whole(entry: Path) -> bool:
    """Whether an entry's files are what they were when it was made."""
    try:
        checksums = json.loads((entry / KEY).read_text(encoding="utf-8"))["checksums"]
        return all(_checksum(entry / name) == checksum for name, checksum in checksums.items())
    except (OSError, ValueError, LookupError, AttributeError, TypeError):
        return False


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.blake2b(digest_size=16)
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _check_writable(folder: Path) -> None:
    with tempfile.TemporaryFile(dir=folder):
        pass


def _sweep(folder: Path) -> None:
    """Remove what killed runs left unfinished, unless there is a run now."""
    with suppress(BlockingIOError), locked(folder / LOCK):
        for left in folder.glob(f"*{_PARTIAL}"):
            shutil.rmtree(left, ignore_errors=True)


def _touch(folder: Path) -> None:
    """Note the use: what was not used for long is pruned first."""
    os.utime(folder / KEY)


def _name(kind: str, key: Mapping[str, Any]) -> str:
    return f"{kind}-{_hash(key)}"


def _hash(key: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical(key).encode()).hexdigest()[:32]


def _canonical(key: Mapping[str, Any]) -> str:
    return json.dumps(key, sort_keys=True, separators=(",", ":"))
