"""Files appear whole or not at all.

What is unfinished lies in one hidden folder beside the output, `.NAME.tithe`: on the same file system, so that the
finished files can be renamed into place. The folder is locked while the run lives, so that two runs cannot write one
output, and what a killed run left behind is swept away by the next.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar, cast

from tithe.selection.corpus.storage import Place, kind_of
from tithe.selection.errors import TitheError

_Place = TypeVar("_Place", bound=Place)


def check_target(path: Place, *, overwrite: bool) -> None:
    """Raise TitheError where `path` is a folder, or exists and may not be overwritten."""
    kind = kind_of(path)
    if kind == "folder":
        raise TitheError(f"{path}: is a folder; the output must be a file")
    if not overwrite and kind is not None:
        raise TitheError(f"{path}: exists already; --force overwrites it")


@contextmanager
def work_folder_beside(path: Path) -> Iterator[Path]:
    """A folder for all that is unfinished of the output `path`, removed at the end whatever happens.

    Raises TitheError where the folder cannot be made or another run is using it.
    """
    folder = beside(path.with_name(f".{path.name}"), ".tithe")
    try:
        folder.mkdir(exist_ok=True)
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise TitheError(f"{path}: cannot write into its folder ({error.strerror})") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise TitheError(f"{path}: another run of tithe is writing it") from error
        try:
            _empty(folder)
            yield folder
        except BrokenPipeError:
            raise
        except OSError as error:
            if error.filename is not None:
                raise
            reason = error.strerror or str(error)
            raise TitheError(f"{path}: cannot be written ({reason}); nothing was changed") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def write_whole(path: Path, content: bytes) -> None:
    """Write one file; what lay under its name before is there until the new one is on disk."""
    with work_folder_beside(path) as folder:
        unfinished = folder / "unfinished"
        unfinished.write_bytes(content)
        sync(unfinished)
        unfinished.replace(path)
        sync(path.parent)


def beside(path: _Place, ending: str) -> _Place:
    """The file whose name is that of `path` with `ending` after it."""
    return cast(_Place, path.with_name(path.name + ending))


def sync(path: Path) -> None:
    """Wait until a file or folder is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
