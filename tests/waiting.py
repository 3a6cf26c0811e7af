"""Tests wait for what they watch, never for a clock: on a busy machine everything takes longer."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import IO, Any

PATIENCE = 300
"""Seconds after which nothing is expected any more: that long only a test waits that fails."""


def until(condition: Callable[[], Any], process: subprocess.Popen[Any] | None = None) -> None:
    """Wait until something is so; fail where a process ends before, or all patience does."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert process is None or process.poll() is None or condition(), process and process.communicate()
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.01)


def read_until(stream: IO[bytes], part: bytes) -> bytes:
    """The lines that come until one holds some bytes; fail at the end of the stream."""
    found = b""
    while part not in found:
        line = stream.readline()
        assert line, found
        found += line
    return found
