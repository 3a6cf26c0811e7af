"""How a file is opened that somebody else named: a user, a manifest, a folder that was given.

A pipe, a device or a socket among them would keep a run waiting, or never come to an end.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO, NoReturn

# Names of what is neither a file nor a folder.
_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file, or a link to one, to read it. Raises OSError, also for whatever else there is."""
    check_regular(path)  # first, since to open a device may do something
    file = open(path, "rb", opener=_open_without_waiting)  # noqa: SIM115 - Path.open takes no opener
    try:
        _check(os.fstat(file.fileno()), path)  # again, since it may have become another meanwhile
    except BaseException:
        file.close()
        raise
    return file


def check_regular(path: Path) -> None:
    """Raise OSError where there is something else than a regular file, or a link to one."""
    _check(path.stat(), path)


def check_regular_below(folder: Path) -> None:
    """Raise OSError where a folder holds, however deep, something that is neither a file nor a folder.

    For a library that opens the files of a folder itself.
    """
    for parent, _, names in os.walk(folder, onerror=_raise):
        for name in names:
            path = Path(parent, name)
            if path.exists():  # not a link to nothing, which cannot be opened
                check_regular(path)


def _check(status: os.stat_result, path: Path) -> None:
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFDIR:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if kind != stat.S_IFREG:
        raise OSError(errno.EINVAL, f"is {_KINDS.get(kind, 'something else')}, not a regular file", str(path))


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def _raise(error: OSError) -> NoReturn:
    raise error
