"""The stages of a run: how far each is, how long it took, how much memory was used by then."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

Advance = Callable[[int], object]


class Progress(Protocol):
    """Shows how far a stage is; `selection` reports to it and does not know what it looks like."""

    def __call__(self, name: str, total: int | None, unit: str) -> AbstractContextManager[Advance]:
        """Open a stage of `total` units (None: unknown); the result is called with the units done since."""
        ...


def no_progress(name: str, total: int | None, unit: str) -> AbstractContextManager[Advance]:
    """Show nothing."""
    return nullcontext(lambda count: None)


@dataclass
class Stages:
    """Runs stages one after the other and keeps their records for the manifest."""

    progress: Progress = no_progress
    records: list[dict[str, Any]] = field(default_factory=list)

    @contextmanager
    def __call__(self, name: str, total: int | None = None, unit: str = "records") -> Iterator[Advance]:
        start = time.perf_counter()
        with self.progress(name, total, unit) as advance:
            yield advance
        self.records.append(
            {
                "stage": name,
                "seconds": round(time.perf_counter() - start, 3),
                "peak_memory_mib": round(peak_memory() / 2**20, 1),
            }
        )


def peak_memory() -> int:
    """The largest resident set this process has had so far, in bytes."""
    # On Linux ru_maxrss begins at what the parent process held when it started this one.
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        status = ""
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
