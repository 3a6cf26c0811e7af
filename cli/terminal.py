"""What goes to the terminal. Nothing else prints, and what libraries print passes through here as well.

File names, records, manifests, commands and libraries may say anything. What could move the cursor, change colours or
turn text around is escaped, whoever prints it. Standard output is data: where it cannot be written, the command fails.
Standard error is talk: where it cannot be written, the work goes on.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from tithe.selection.errors import TitheError, printable


class ReaderGone(Exception):
    """Whoever read standard output has left: no failure, and there is nobody left to tell."""


def say(line: str) -> None:
    """Print a line on standard error."""
    _print(sys.stderr, printable(line) + "\n")


def teller(*, quiet: bool) -> Callable[[str], None]:
    """`say`, or nothing at all."""
    return (lambda line: None) if quiet else say


def show(line: str) -> None:
    """Print a line on standard output."""
    _print(sys.stdout, printable(line) + "\n")


def show_document(text: str) -> None:
    """Print a document of several lines on standard output."""
    _print(sys.stdout, text)


def standard_input() -> BinaryIO:
    """The bytes of standard input; where it is closed, reading them fails."""
    return io.BufferedReader(_Closed()) if sys.stdin is None else sys.stdin.buffer


def standard_output() -> BinaryIO:
    """The bytes of standard output. Raises TitheError where it is closed, rather than after the work."""
    if _is_closed(sys.stdout):
        raise _unwritable(OSError(errno.EBADF, "it is closed"))
    return sys.stdout.buffer  # type: ignore[return-value]  # the guard's is one in all that is asked of it


def bars() -> Any:
    """Where progress bars are drawn, which move the cursor: on standard error, unescaped."""
    stream = sys.stderr
    return _Text(stream.buffer, escaping=False) if isinstance(stream, _Text) else stream


@contextmanager
def guarded() -> Iterator[None]:
    """While the block runs, whatever is printed is escaped, and failures to print are of the kinds named above."""
    streams = sys.stdout, sys.stderr
    sys.stdout = _Text(_Bytes(sys.stdout, _fail))
    sys.stderr = _Text(_Bytes(sys.stderr, lambda error: None))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams


class _Bytes(io.BufferedIOBase):
    """The bytes of a standard stream, which may be closed (None): `failed` says what is done where writing fails."""

    def __init__(self, stream: Any, failed: Callable[[OSError], None]) -> None:
        self.stream = stream
        self._failed = failed

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        self._try(lambda: self.stream.buffer.write(data))
        return size

    def flush(self) -> None:
        if self.stream is not None:
            self._try(self.stream.buffer.flush)

    def fileno(self) -> int:
        if self.stream is None:
            raise io.UnsupportedOperation("fileno")
        return self.stream.fileno()

    def isatty(self) -> bool:
        return self.stream is not None and self.stream.isatty()

    def _try(self, action: Callable[[], object]) -> None:
        try:
            if self.stream is None:
                raise OSError(errno.EBADF, "it is closed")
            action()
        except OSError as error:
            if self.stream is not None:
                # What is buffered still would fail again when Python closes the stream.
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())
            self._failed(error)


class _Text(io.TextIOWrapper):
    """Text on its way to a standard stream."""

    def __init__(self, stream: Any, *, escaping: bool = True) -> None:
        encoding = getattr(getattr(stream, "stream", None), "encoding", None) or "utf-8"
        super().__init__(stream, encoding, "backslashreplace", newline="\n", write_through=True)
        self._escaping = escaping

    def write(self, text: str) -> int:
        if self._escaping:
            text = "\n".join(line if line.isprintable() else printable(line) for line in text.split("\n"))
        return super().write(text)


class _Closed(io.RawIOBase):
    """Standard input that is not there."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        raise TitheError("-: standard input is closed")


def _print(stream: Any, text: str) -> None:
    stream.write(text)
    stream.flush()


def _is_closed(stream: Any) -> bool:
    return isinstance(stream, _Text) and isinstance(stream.buffer, _Bytes) and stream.buffer.stream is None


def _fail(error: OSError) -> None:
    if error.errno == errno.EPIPE:
        raise ReaderGone from error
    raise _unwritable(error) from error


def _unwritable(error: OSError) -> TitheError:
    return TitheError(f"standard output: cannot be written to ({error.strerror})")
