"""The pipes to a command that runs: what is held of them is bounded, and nobody waits for them in vain.

Whoever the command has started may keep the other ends of its pipes open for as long as it likes, and write without
end. So whoever waits for a pipe here looks every so often whether it is still wanted.
"""

from __future__ import annotations

import os
import queue
import select
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import IO

# Seconds between two looks.
_LOOK = 0.1

# Bytes of a line, at most: a longer one comes in pieces.
_LINE_BYTES = 1 << 20

# Lines that wait to be taken.
_AHEAD = 16

_PIECE = 1 << 16
_LAST_BYTES = 2000


class Pipes:
    """Threads that feed a command and listen to it, until `stop`."""

    def __init__(self, stdin: IO[bytes], stdout: IO[bytes], stderr: IO[bytes], lines: Iterable[bytes]) -> None:
        """`lines` are what the command is to read."""
        self.trouble: list[Exception] = []
        """What `lines` failed with."""
        self.last_words = b""
        """The end of what it wrote to its standard error; complete after `stop`."""
        self._stopped = threading.Event()
        self._answers: queue.Queue[bytes | None] = queue.Queue(_AHEAD)
        self._threads = [
            threading.Thread(target=work, args=arguments, daemon=True)
            for work, arguments in (
                (self._feed, (stdin, lines)),
                (self._listen, (stdout,)),
                (self._overhear, (stderr,)),
            )
        ]
        for thread in self._threads:
            thread.start()

    def answer(self, timeout: float) -> bytes | None:
        """The next line of the command's output, None at its end. Raises queue.Empty after so many seconds."""
        return self._answers.get(timeout=timeout)

    def stop(self) -> None:
        """End the threads and close the pipes."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _feed(self, pipe: IO[bytes], lines: Iterable[bytes]) -> None:
        # It may know the answers without reading to the end; if not, its answers will tell.
        with suppress(BrokenPipeError), pipe:
            os.set_blocking(pipe.fileno(), False)
            try:
                for line in lines:
                    left = memoryview(line)
                    if self._stopped.is_set():
                        return
                    while left:
                        while not select.select([], [pipe], [], _LOOK)[1]:
                            if self._stopped.is_set():
                                return
                        with suppress(BlockingIOError):
                            left = left[os.write(pipe.fileno(), left) :]
            except BrokenPipeError:
                raise
            except Exception as error:
                self.trouble.append(error)

    def _listen(self, pipe: IO[bytes]) -> None:
        with pipe:
            begun = b""
            for piece in self._pieces(pipe):
                *whole, begun = (begun + piece).split(b"\n")
                if len(begun) > _LINE_BYTES:
                    whole, begun = [*whole, begun], b""
                for line in whole:
                    self._put(line)
            if begun:
                self._put(begun)
            self._put(None)

    def _put(self, line: bytes | None) -> None:
        while not self._stopped.is_set():
            with suppress(queue.Full):
                self._answers.put(line, timeout=_LOOK)
                return

    def _overhear(self, pipe: IO[bytes]) -> None:
        with pipe:
            for piece in self._pieces(pipe):
                self.last_words = (self.last_words + piece)[-_LAST_BYTES:]

    def _pieces(self, pipe: IO[bytes]) -> Iterator[bytes]:
        """What comes through a pipe, to its end or until nobody wants it; what is in it then is taken, too."""
        wanted = True
        while wanted:
            wanted = not self._stopped.is_set()
            if select.select([pipe], [], [], _LOOK if wanted else 0)[0]:
                piece = os.read(pipe.fileno(), _PIECE)
                if not piece:
                    return
                yield piece
