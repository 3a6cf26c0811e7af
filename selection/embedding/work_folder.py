"""The work folder: embeddings by text, and what was made of a whole corpus by everything that it was made of.

`embeddings/HASH/` holds the vectors of one encoder (see vector_store.py). `records-HASH/`, `centroids-HASH/` and
`clusters-HASH/` are entries, named by a hash of all that they depend on: a changed input, text rule, encoder or seed
gives another name, never a stale entry. Entries appear whole or not at all.

The folder is marked as ours, and each folder in it carries its key: nothing else is ever written to or removed.

Every run holds a shared lock on the folder, so that nothing is pruned under it; whoever embeds holds a lock on the
encoder's vectors, and others with the same encoder wait.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tithe.selection.embedding.vector_store import VectorStore
from tithe.selection.errors import TitheError
from tithe.selection.options.choices import StoreDtype
from tithe.selection.storage.locks import locked
from tithe.selection.storage.markers import Marker
from tithe.selection.storage.own_files import NotOurs, OwnPath
from tithe.selection.storage.writing import writing

Notify = Callable[[str], object]

KEY = "key.json"
LOCK = "lock"
VECTORS = "embeddings"

_NEW_KEY = "key.partial"

MARKER = Marker(
    "tithe_work_folder",
    b"tithe, work folder, version 1: all of it can be deleted at any time; see tithe cache\n",
    "name a new or an empty folder with --work-dir",
)

# Names of folders, with the hash of the key that they carry; unfinished ones may have a number of their own, too.
_ENTRY = re.compile(r"[a-z]+-([0-9a-f]{32})")
_PARTIAL = re.compile(r"[a-z]+-([0-9a-f]{32})(\.[0-9a-f]{8})?\.partial")


@dataclass(frozen=True)
class WorkFolder:
    """A folder of vectors and entries."""

    path: OwnPath
    kept: bool
    """Whether it outlives the run: then entries are on disk before they get their name."""
    notify: Notify = lambda line: None
    """Told of damage, and of waiting."""
    stores: ExitStack = field(default_factory=ExitStack)
    """Closes the vectors at the end."""
    opened: dict[OwnPath, VectorStore] = field(default_factory=dict)
    """The vectors that are open."""
    checked: set[OwnPath] = field(default_factory=set)
    """Entries that this run has found to be whole."""

    @cached_property
    def scratch(self) -> OwnPath:
        """A folder for what only this run needs, removed at its end; by its full path, for other processes."""
        key = {"run": secrets.token_hex(16)}
        folder = self.path.absolute() / f"{_name('run', key)}.partial"
        with writing(self.path):
            folder.make(0o700)
            _write_key(folder, key)
        self.stores.callback(drop, folder)
        return folder

    def holds(self, kind: str, key: Mapping[str, Any]) -> bool:
        """Whether there is anything by the name of the entry made of `key`, be it damaged."""
        return (self.path / _name(kind, key)).status() is not None

    def find(self, kind: str, key: Mapping[str, Any]) -> OwnPath | None:
        """The entry made of `key`, or None. Raises NotOurs where something else has its name."""
        entry = self.path / _name(kind, key)
        if entry in self.checked:
            return entry
        if entry.status() is None:
            return None
        if key_of(entry) is None:
            raise _without_key(entry)
        if not is_whole(entry):
            self.notify(f"{entry}: is damaged, and is made anew")
            return None
        (entry / KEY).touch()  # what was not used for long is pruned first
        self.checked.add(entry)
        return entry

    @contextmanager
    def adding(self, kind: str, key: Mapping[str, Any]) -> Iterator[OwnPath]:
        """A new folder to fill; it becomes the entry `find(kind, key)` when the block ends without an exception."""
        entry = self.path / _name(kind, key)
        partial = self._partial(entry)
        with writing(self.path):
            partial.make(0o700)
        try:
            with writing(self.path):
                _write_key(partial, key)
            yield partial
            with writing(self.path):
                checksums = {name: _checksum(partial / name) for name in partial.names() if name != KEY}
                _write_key(partial, key, checksums=checksums)
                if self.kept:
                    for name in partial.names():
                        (partial / name).sync()
                    partial.sync()
                self._put_in_place(partial, entry)
                if self.kept:
                    entry.parent.sync()
        except BaseException:
            drop(partial)
            raise

    def _put_in_place(self, partial: OwnPath, entry: OwnPath) -> None:
        """Make an entry of what is finished, in place of one that is damaged or that another run has just made."""
        while True:
            try:
                partial.replace(entry)
                return
            except OSError as error:
                taken = error.errno in (errno.ENOTEMPTY, errno.EEXIST)
                if not taken or (entry.status() is not None and key_of(entry) is None):
                    raise
            old = self._partial(entry)
            with suppress(FileNotFoundError):
                entry.replace(old)
                drop(old)

    def _partial(self, entry: OwnPath) -> OwnPath:
        return self.path / f"{entry.name}.{secrets.token_hex(4)}.partial"

    @contextmanager
    def vectors(self, key: Mapping[str, Any], dtype: StoreDtype) -> Iterator[VectorStore]:
        """The vectors of the encoder that `key` describes, to read and to add to; others wait for the end of the block.

        The store stays open for reading after it.
        """
        folder = self._vectors_folder(key)
        with writing(self.path):
            folder.make_all()

        def waiting() -> None:
            self.notify(f"waiting for another run of tithe, which embeds with the same encoder into {folder}")

        with locked(folder / LOCK, waiting=waiting):
            with writing(self.path):
                self._mark(folder, key)
            # Anew: others may have added to it before the lock was held.
            store = self.opened[folder] = self._opened(folder, dtype)
            store.prepare_to_write()
            yield store
            with writing(self.path):
                store.sync()
            store.finish_writing()

    def kept_vectors(self, key: Mapping[str, Any], dtype: StoreDtype) -> VectorStore | None:
        """The same to read, where there are any."""
        folder = self._vectors_folder(key)
        if key_of(folder) is None:
            return None
        if folder not in self.opened:
            (folder / KEY).touch()
            self.opened[folder] = self._opened(folder, dtype)
        return self.opened[folder]

    def __reduce__(self) -> tuple[Any, ...]:
        return WorkFolder, (self.path.absolute(), self.kept)  # elsewhere, nothing of it is open

    def _mark(self, folder: OwnPath, key: Mapping[str, Any]) -> None:
        """Let a folder of vectors carry its key. Raises NotOurs where it has none, and holds anything."""
        if key_of(folder) is not None:
            (folder / KEY).touch()
            return
        if not {LOCK, _NEW_KEY}.issuperset(folder.names()):
            raise _without_key(folder)
        _write_key(folder, key)
        if self.kept:
            (folder / KEY).sync()
            folder.sync()

    def _opened(self, folder: OwnPath, dtype: StoreDtype) -> VectorStore:
        store = VectorStore(folder, dtype, notify=self.notify)
        self.stores.callback(store.close)
        return store

    def _vectors_folder(self, key: Mapping[str, Any]) -> OwnPath:
        return self.path / VECTORS / _hash(key)


def default_folder() -> Path:
    """The user's cache folder for tithe. Raises RuntimeError where there is no home folder."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if named.is_absolute():  # any other is to be ignored, as the XDG says
        return named / "tithe"
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "tithe"


@contextmanager
def open_work_folder(path: Path | None, *, spare: Path, notify: Notify) -> Iterator[WorkFolder]:
    """The user's work folder, made where it is missing, and kept from being pruned while the block runs.

    None stands for `default_folder()`; where that cannot be written to, or is not ours, the folder `spare` takes its
    place, which does not outlive the run. Raises TitheError where `path` cannot be written to, or is not ours.
    """
    if path is not None:
        with open_kept(path, notify) as work:
            yield work
        return
    try:
        folder = default_folder()
        _prepare(folder)
    except (OSError, RuntimeError, NotOurs) as error:
        if isinstance(error, NotOurs):
            notify(f"embeddings are not kept: {error}")
        else:
            reason = getattr(error, "strerror", None) or str(error)
            notify(
                f"embeddings are not kept: the cache folder cannot be written to ({reason}); --work-dir names another"
            )
        with ExitStack() as stores:
            yield WorkFolder(OwnPath(spare), False, notify, stores)
        return
    with _held(folder, notify) as work:
        yield work


@contextmanager
def open_kept(path: Path, notify: Notify = lambda line: None) -> Iterator[WorkFolder]:
    """A work folder that the user named, made where it is missing, and kept from being pruned while the block runs.

    Raises TitheError where it cannot be written to, or is not ours.
    """
    try:
        _prepare(path)
    except OSError as error:
        raise TitheError(f"--work-dir {path}: cannot be written to ({error.strerror})") from error
    with _held(path, notify) as work:
        yield work


def _prepare(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    MARKER.claim(OwnPath(folder))
    with tempfile.TemporaryFile(dir=folder):
        pass  # it can be written to
    _sweep(OwnPath(folder))


@contextmanager
def _held(folder: Path, notify: Notify) -> Iterator[WorkFolder]:
    def waiting() -> None:
        notify(f"waiting for another run of tithe, which tidies {folder}")

    path = OwnPath(folder)
    with locked(path / LOCK, shared=True, waiting=waiting), ExitStack() as stores:
        yield WorkFolder(path, True, notify, stores)


def is_whole(entry: OwnPath) -> bool:
    """Whether an entry's files are what they were when it was made. Raises NotOurs where one is a link."""
    try:
        checksums = json.loads((entry / KEY).read())["checksums"]
        return all(_checksum(entry / name) == checksum for name, checksum in checksums.items())
    except (OSError, ValueError, LookupError, AttributeError, TypeError):
        return False


def key_of(folder: OwnPath) -> dict[str, Any] | None:
    """What a folder was made of, as far as it carries the key of which its name has the hash."""
    match = _ENTRY.fullmatch(folder.name) or _PARTIAL.fullmatch(folder.name)
    named = match[1] if match else folder.name
    try:
        key = json.loads((folder / KEY).read())["key"]
        return key if isinstance(key, dict) and _hash(key) == named else None
    except (OSError, NotOurs, ValueError, LookupError, TypeError, RecursionError):
        return None


def is_entry(name: str) -> bool:
    """Whether a folder of this name can be an entry."""
    return _ENTRY.fullmatch(name) is not None


def _checksum(path: OwnPath) -> str:
    with path.open() as file:
        digest = hashlib.blake2b(digest_size=16)
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _sweep(folder: OwnPath) -> None:
    """Remove what killed runs left unfinished, unless there is a run now."""
    with suppress(BlockingIOError), locked(folder / LOCK):
        for name in folder.names():
            if _PARTIAL.fullmatch(name) is None:
                continue
            with suppress(OSError, NotOurs):
                left = folder / name
                if key_of(left) is not None:
                    remove(left)
                elif left.is_folder():  # its run was killed before it had a key
                    (left / _NEW_KEY).unlink()
                    left.remove_empty()


def remove(folder: OwnPath) -> None:
    """Remove a folder that carries its key, and this at last: who is killed meanwhile leaves what still carries it."""
    for name in folder.names():
        if name != KEY:
            (folder / name).remove()
    folder.remove()


def drop(folder: OwnPath) -> None:
    """The same as far as that can be done, of what is no longer needed."""
    with suppress(OSError, NotOurs):
        remove(folder)


def _name(kind: str, key: Mapping[str, Any]) -> str:
    return f"{kind}-{_hash(key)}"


def _write_key(folder: OwnPath, key: Mapping[str, Any], **facts: Any) -> None:
    """Let a folder carry its key: whole or not at all."""
    new = folder / _NEW_KEY
    new.unlink()
    new.write((_canonical({"key": key, **facts}) + "\n").encode())
    new.replace(folder / KEY)


def _without_key(folder: OwnPath) -> NotOurs:
    return NotOurs(
        f"{folder}: does not carry the key of what tithe keeps under this name, and is left alone; remove it"
    )


def _hash(key: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical(key).encode()).hexdigest()[:32]


def _canonical(key: Mapping[str, Any]) -> str:
    return json.dumps(key, sort_keys=True, separators=(",", ":"))
