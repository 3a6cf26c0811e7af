"""A line for the case that this process is ended without a chance to say anything."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# Waits for a line, or for the end of whoever would have sent it. A bar that was being drawn is left behind first.
_WATCH = 'read -r _ || { [ -t 2 ] && echo >&2; printf "%s\\n" "$0" >&2; }'


@contextmanager
def last_word(line: str) -> Iterator[None]:
    """Have `line` said on standard error where this process ends before the block does.

    A library that ends the process by `_exit`, and a signal that cannot be caught, leave nobody here to say it: a
    shell does, whom neither reaches, as soon as the pipe to it breaks.
    """
    watcher = subprocess.Popen(["/bin/sh", "-c", _WATCH, line], stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield
    finally:
        with suppress(BrokenPipeError):
            watcher.communicate(b"\n")
