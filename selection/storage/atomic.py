"""Files appear whole or not at all.

What is unfinished lies in one hidden folder beside the output, `.NAME.tithe`: on the same file system, so that the
finished files can be renamed into place. The folder is marked as ours, and locked while the run lives, so that two runs
cannot write one output, and what a killed run left behind is swept away by the next.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TypeVar, cast

from tithe.selection.errors import TitheError
from tithe.selection.storage.markers import Marker
from tithe.selection.storage.own_files import NotOurs, OwnPath
from tithe.selection.storage.places import Place, kind_of

_Place = TypeVar("_Place", bound=Place)

_UNFINISHED = "unfinished"
_MARKER = Marker(
    "tithe_unfinished_output",
    b"tithe, unfinished output, version 1: the next run with this output removes it\n",
    "remove that folder, or choose another name for the output",
)


def check_target(path: Place, *, overwrite: bool) -> None:
    """Raise TitheError where `path` is no file, or exists and may not be overwritten. A link may be replaced."""
    kind = kind_of(path)
    if kind == "folder":
        raise TitheError(f"{path}: is a folder; the output must be a file")
    if isinstance(path, Path) and kind == "file" and not (path.is_symlink() or path.is_file()):
        raise TitheError(f"{path}: is a device, a pipe or a socket; the output must be a file")
    if not overwrite and kind is not None:
        raise TitheError(f"{path}: exists already; --force overwrites it")


@contextmanager
def work_folder_beside(target: OwnPath) -> Iterator[OwnPath]:
    """A folder for all that is unfinished of the output `target`, removed at the end whatever happens.

    Raises TitheError where the folder cannot be made, holds anything of others, or another run is using it.
    """
    folder = target.parent / f".{target.name}.tithe"
    with ExitStack() as held:
        try:
            with suppress(FileExistsError):
                folder.make()
            lock = held.enter_context(folder.opened())
        except OSError as error:
            raise TitheError(f"{target}: cannot write into its folder ({error.strerror})") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            now = folder.status()
            if now is None or not os.path.samestat(now, os.fstat(lock)):
                raise BlockingIOError  # another run has removed it meanwhile: it was the one that wrote
        except OSError as error:
            raise TitheError(f"{target}: another run of tithe is writing it") from error
        _check_ours(folder)
        unfinished = folder / _UNFINISHED
        try:
            _MARKER.claim(folder)
            unfinished.remove()  # what a killed run left
            unfinished.make()
            yield unfinished
        except BrokenPipeError:
            raise
        except OSError as error:
            if error.filename is not None:
                raise
            reason = error.strerror or str(error)
            raise TitheError(f"{target}: cannot be written ({reason}); nothing was changed") from error
        finally:
            with suppress(OSError):
                unfinished.remove()  # before the marker goes
                folder.remove()


def write_atomically(target: OwnPath, content: bytes) -> None:
    """Write one file; what lay under its name before is there until the new one is on disk."""
    with work_folder_beside(target) as folder:
        unfinished = folder / target.name
        unfinished.write(content)
        put_in_place(unfinished, target)


def put_in_place(unfinished: OwnPath, target: OwnPath) -> None:
    """Give a finished file its name once it is on disk."""
    unfinished.sync()
    unfinished.replace(target)
    target.parent.sync()


def beside(path: _Place, ending: str) -> _Place:
    """The file whose name is that of `path` with `ending` after it."""
    return cast(_Place, path.with_name(path.name + ending))


def _check_ours(folder: OwnPath) -> None:
    """Raise NotOurs where a work folder beside an output holds anything that tithe did not put there."""
    _MARKER.check(folder)
    for name in folder.names():
        if name not in (_MARKER.name, _UNFINISHED):
            raise NotOurs(f"{folder}: holds {name!r}, which tithe did not put there; {_MARKER.remedy}")
