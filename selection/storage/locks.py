"""Locks on files of the work folder: they end with the process that holds them, however it ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tithe.selection.storage.own_files import OwnPath


@contextmanager
def locked(path: OwnPath, *, shared: bool = False, waiting: Callable[[], object] | None = None) -> Iterator[None]:
    """Hold a lock on the file `path`, made where it is missing, while the block runs.

    Where another process holds it, `waiting` is called once and the lock waited for; without `waiting`,
    BlockingIOError is raised. Raises OSError where the file cannot be opened, NotOurs where it is a link.
    """
    mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    descriptor = path.descriptor(os.O_RDWR | os.O_CREAT)
    try:
        try:
            fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting is None:
                raise
            waiting()
            fcntl.flock(descriptor, mode)
        yield
    finally:
        os.close(descriptor)
