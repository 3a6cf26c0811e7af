"""Files of our own: all that is written lies below a folder that the user named, and no link below it is followed.

The named folder may be a link. What lies below it may have come with a repository, or be changed by others while a run
goes on. So every step down is taken from the descriptor of the step before; a new file is one that was not there; a
link, a device or a pipe under a name of ours is refused; and what is removed is removed by descriptors, too.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tithe.selection.errors import TitheError

_FOLDER = os.O_RDONLY | os.O_DIRECTORY


class NotOurs(TitheError):
    """Under a name of ours lies something that we did not make."""


@dataclass(frozen=True)
class OwnPath:
    """A file or folder of ours. `str` of it is its path, for messages."""

    root: Path
    """The folder that the user named."""
    parts: tuple[str, ...] = ()
    """The names that lead from there to it."""

    @classmethod
    def of(cls, path: Path) -> OwnPath:
        """A file that the user named, to be replaced: the folder that it lies in is the one named."""
        return cls(path.parent) / path.name

    def __truediv__(self, name: str) -> OwnPath:
        if name in ("", ".", "..") or "/" in name or "\0" in name:
            raise ValueError(f"{name!r} is no name of a file")
        return OwnPath(self.root, (*self.parts, name))

    def __str__(self) -> str:
        return str(self.path)

    @property
    def path(self) -> Path:
        """For readers that open it themselves."""
        return self.root.joinpath(*self.parts)

    @property
    def name(self) -> str:
        """As of a Path."""
        return self.parts[-1]

    @property
    def parent(self) -> OwnPath:
        """The folder that it lies in."""
        return OwnPath(self.root, self.parts[:-1])

    def absolute(self) -> OwnPath:
        """The same, seen from any folder."""
        return OwnPath(self.root.absolute(), self.parts)

    # Files.

    def create(self) -> BinaryIO:
        """A new file, to write. Raises FileExistsError where there is anything."""
        return os.fdopen(self.descriptor(os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb")

    def open(self) -> BinaryIO:
        """The file, to read."""
        return os.fdopen(self.descriptor(os.O_RDONLY), "rb")

    def write(self, content: bytes) -> None:
        """Write a new file."""
        with self.create() as file:
            file.write(content)

    def read(self) -> bytes:
        """The bytes of the file."""
        with self.open() as file:
            return file.read()

    def nameless(self) -> BinaryIO:
        """A new file in this folder that has no name and goes when it is closed, to write and to read back."""
        path = self / f"{secrets.token_hex(8)}.partial"
        file = os.fdopen(path.descriptor(os.O_RDWR | os.O_CREAT | os.O_EXCL), "w+b")
        path.unlink()
        return file

    def descriptor(self, flags: int) -> int:
        """Open the file as `os.open` does; raises NotOurs where it is no regular file, OSError where it must."""
        with self.parent.opened() as folder, self._naming():
            try:
                # Nobody waits for the other end of a pipe.
                found = os.open(self.name, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644, dir_fd=folder)
            except OSError as error:
                if error.errno in (errno.ELOOP, errno.ENXIO):
                    raise self._not_ours() from error
                raise
            if not stat.S_ISREG(os.fstat(found).st_mode):
                os.close(found)
                raise self._not_ours()
            return found

    # Folders.

    @contextmanager
    def opened(self) -> Iterator[int]:
        """The descriptor of the folder. Raises NotOurs where it, or one on the way to it, is none or a link."""
        descriptor = os.open(self.root, _FOLDER)
        try:
            for depth, name in enumerate(self.parts, 1):
                here = OwnPath(self.root, self.parts[:depth])
                with here._naming():
                    try:
                        below = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=descriptor)
                    except OSError as error:
                        if error.errno in (errno.ELOOP, errno.ENOTDIR):
                            raise here._not_ours() from error
                        raise
                os.close(descriptor)
                descriptor = below
            yield descriptor
        finally:
            os.close(descriptor)

    def names(self) -> list[str]:
        """What the folder holds, sorted."""
        with self.opened() as folder:
            return sorted(os.listdir(folder))  # noqa: PTH208 - of a descriptor

    def make(self, mode: int = 0o777) -> None:
        """Make the folder. Raises FileExistsError where there is anything."""
        with self.parent.opened() as folder, self._naming():
            os.mkdir(self.name, mode, dir_fd=folder)

    def make_all(self) -> None:
        """Make the folder, and those on the way to it, where they are missing."""
        for depth in range(1, len(self.parts) + 1):
            try:
                OwnPath(self.root, self.parts[:depth]).make()
            except FileExistsError:
                continue
        with self.opened():
            pass

    # Both.

    def status(self) -> os.stat_result | None:
        """What `lstat` says; None where there is nothing."""
        try:
            with self.parent.opened() as folder:
                return os.stat(self.name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def is_folder(self) -> bool:
        """Whether it is a folder, and no link to one."""
        status = self.status()
        return status is not None and stat.S_ISDIR(status.st_mode)

    def touch(self) -> None:
        """Set the times to now."""
        with self.parent.opened() as folder, self._naming():
            os.utime(self.name, dir_fd=folder, follow_symlinks=False)

    def sync(self) -> None:
        """Wait until it is on disk."""
        if not self.parts:
            with self.opened() as folder:
                os.fsync(folder)
            return
        with self.parent.opened() as folder, self._naming():
            descriptor = os.open(self.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def replace(self, target: OwnPath) -> None:
        """Give it another place and name; a file or link that lies there goes, an empty folder makes room for one."""
        with self.parent.opened() as here, target.parent.opened() as there, target._naming():
            os.replace(self.name, target.name, src_dir_fd=here, dst_dir_fd=there)

    def unlink(self) -> None:
        """Remove a file or a link, if it is there. Raises OSError for a folder."""
        with self.parent.opened() as folder, self._naming(), suppress(FileNotFoundError):
            os.unlink(self.name, dir_fd=folder)

    def remove(self) -> None:
        """Remove it, if it is there: of a folder all that it holds, of a link nothing else."""
        with self.parent.opened() as folder, self._naming():
            _remove(folder, self.name)

    def remove_empty(self) -> None:
        """Remove a folder that holds nothing. Raises OSError for any other."""
        with self.parent.opened() as folder, self._naming():
            os.rmdir(self.name, dir_fd=folder)

    def _not_ours(self) -> NotOurs:
        return NotOurs(f"{self}: is a link, or not what tithe keeps under this name, and is left alone; remove it")

    @contextmanager
    def _naming(self) -> Iterator[None]:
        """Let an OSError name the whole path, not what was given to the system."""
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self)) from error


def _remove(folder: int, name: str) -> None:
    with suppress(FileNotFoundError):
        if not stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            os.unlink(name, dir_fd=folder)
            return
        below = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
        try:
            for child in os.listdir(below):  # noqa: PTH208 - of a descriptor
                _remove(below, child)
        finally:
            os.close(below)
        os.rmdir(name, dir_fd=folder)
