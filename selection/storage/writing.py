"""What the user can do where a work folder cannot be written to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tithe.selection.errors import TitheError
from tithe.selection.storage.own_files import OwnPath


@contextmanager
def writing(folder: OwnPath) -> Iterator[None]:
    """Turn an OSError of the block into a TitheError that says what to do."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise TitheError(
            f"{folder}: cannot be written to ({reason}); make room, or name another folder with --work-dir, and run "
            "again: what was embedded is kept"
        ) from error
