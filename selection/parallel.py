"""Work on a stream with all cores, in order, with bounded memory."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def workers() -> int:
    """How many threads to use: OMP_NUM_THREADS where it is a number, else the CPUs this process may run on."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    if limit.isdecimal() and int(limit) > 0:
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
