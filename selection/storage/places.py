"""Where a file lies: on a file system of this machine, or in an object store. Nobody else needs to ask."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from tithe.embedders.reading import check_regular, open_regular
from tithe.selection.errors import TitheError, UsageError, first_line
from tithe.selection.storage.object_store import ObjectUrl, Status, is_url, reason

Place = Path | ObjectUrl
"""A file or a folder. `str` of it may be shown and recorded."""


def place_of(name: str, ending: str = "") -> Place:
    """The place that a name stands for, with `ending` after it: a path, or a URL; `file://` is one of a path.

    Raises UsageError.
    """
    if not is_url(name):
        return Path(name + ending)
    if name.lower().startswith("file://"):
        try:
            return Path(fs.FileSystem.from_uri(name)[1] + ending)
        except (pa.ArrowException, OSError) as error:
            raise UsageError(f"{name}: is no URL of a file ({first_line(error)})") from error
    url = ObjectUrl.parse(name)
    return url.with_key(url.key + ending)


def status_of(place: Place) -> Status:
    """Size and time of modification; raises OSError."""
    if isinstance(place, ObjectUrl):
        return place.status()
    status = place.stat()
    return Status(status.st_size, status.st_mtime_ns)


def open_binary(place: Place) -> BinaryIO:
    """A regular file to read and seek in; raises OSError, and so does reading."""
    return place.open() if isinstance(place, ObjectUrl) else open_regular(place)


def open_for_arrow(place: Place) -> pa.NativeFile:
    """A regular file for Arrow's readers; raises OSError, and so does reading: see `failure`."""
    if isinstance(place, ObjectUrl):
        return place.open_for_arrow()
    check_regular(place)
    # By its bytes: Arrow takes a name that is no UTF-8 only so.
    return pa.OSFile(os.fsencode(place))


def read_table(place: Place, columns: list[str] | None = None) -> pa.Table:
    """All of a Parquet file, or some columns; raises what Arrow raises."""
    with open_for_arrow(place) as file:
        return pq.read_table(file, columns=columns)


def failure(place: Place, error: BaseException, guess: str) -> TitheError:
    """The error of a file that could not be read: what its store says, or the guess that fits local files."""
    why = None
    if isinstance(place, ObjectUrl):
        why = error.strerror if isinstance(error, OSError) and error.filename == str(place) else reason(error)
    return TitheError(f"{place}: {why}" if why else f"{place}: {guess} ({first_line(error)})")


def absolute(place: Place) -> Place:
    """The place as seen from anywhere."""
    return place if isinstance(place, ObjectUrl) else place.absolute()


def identity(place: Place) -> tuple[str, ...]:
    """The same for two names of one file; that of a folder is the beginning of those of all below it."""
    return place.identity if isinstance(place, ObjectUrl) else Path(os.path.realpath(place)).parts


def kind_of(place: Place) -> Literal["file", "folder"] | None:
    """What is there; raises OSError where that cannot be told."""
    if isinstance(place, ObjectUrl):
        return _KINDS.get(place.info().type)
    return "folder" if place.is_dir() else "file" if os.path.lexists(place) else None


def files_in(folder: Place) -> list[Place]:
    """The files of a folder, by name; raises OSError."""
    if isinstance(folder, ObjectUrl):
        return sorted((child for child, _ in folder.children(deep=False)), key=lambda child: child.name)
    return [*sorted(folder.iterdir())]


_KINDS: dict[fs.FileType, Literal["file", "folder"]] = {fs.FileType.File: "file", fs.FileType.Directory: "folder"}
