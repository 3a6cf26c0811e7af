"""Work on a stream with all cores, in order, with bounded memory."""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def workers() -> int:
    """How many threads to use: OMP_NUM_THREADS, if of up to four digits, else the CPUs this process may run on."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    if limit.isdecimal() and len(limit) < 5 and int(limit) > 0:
        return int(limit)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def ordered_map(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    threads: int | None = None,
    initializer: Callable[[], object] | None = None,
) -> Iterator[Result]:
    """Yield function(item) for each item, in order, computed by threads (for functions that release the GIL).

    At most threads + 1 items are under way, so a slow consumer holds the producer back. `items` is consumed in
    the caller's thread. An exception of `function` or `items` is raised in its turn, and none is begun after one.
    """
    failed = threading.Event()

    def guarded(item: Item) -> Result:
        if failed.is_set():
            raise CancelledError
        try:
            return function(item)
        except BaseException:
            failed.set()
            raise

    threads = threads or workers()
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="tithe", initializer=initializer) as pool:
        try:
            for item in items:
                pending.append(pool.submit(guarded, item))
                if len(pending) > threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def chained(
    streams: Iterable[Callable[[], Iterable[Item]]], *, threads: int | None = None, ahead: int = 4
) -> Iterator[Item]:
    """The items of several streams, one stream after the other, each run through by a thread of its own.

    At most threads + 1 streams are begun, and each has at most `ahead` items made that nobody has taken. `streams` is
    consumed in the caller's thread. An exception of a stream is raised in its turn.
    """
    threads = threads or workers()
    begun: deque[_Stream[Item]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="tithe-stream") as pool:
        try:
            for stream in streams:
                begun.append(_Stream(stream, ahead, pool))
                if len(begun) > threads:
                    yield from begun[0].items()
                    begun.popleft()
            while begun:
                yield from begun[0].items()
                begun.popleft()
        finally:
            for left in begun:
                left.stop()


class _Stream(Generic[Item]):
    """A stream whose items a thread puts into a queue."""

    def __init__(self, stream: Callable[[], Iterable[Item]], ahead: int, pool: ThreadPoolExecutor) -> None:
        self._made: queue.Queue[list[Item]] = queue.Queue(ahead)
        self._stopped = threading.Event()
        self._running = pool.submit(self._run, stream)

    def items(self) -> Iterator[Item]:
        """What the stream makes; raises what it raises."""
        while item := self._made.get():
            yield item[0]
        self._running.result()

    def stop(self) -> None:
        """Let the thread make no more, and wait for it."""
        self._stopped.set()
        while not (self._running.cancel() or self._running.done()):
            with suppress(queue.Empty):
                self._made.get(timeout=0.01)  # it may wait for room

    def _run(self, stream: Callable[[], Iterable[Item]]) -> None:
        try:
            for item in stream():
                if self._stopped.is_set():
                    return
                self._made.put([item])
        finally:
            self._made.put([])
