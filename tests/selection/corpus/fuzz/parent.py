"""Gives cases to workers, one process after the other, and keeps account of how they end."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.selection.corpus.fuzz.cases import KINDS

# Cases after which a worker is replaced: what leaks must not be taken for what a case needs.
WORKER_CASES = 4000

HUNG = "HUNG"

# What differs between findings of one kind: names of temporary folders, numbers, escaped characters.
_VARIES = re.compile(r"/\S*/|\d+|\\x\w\w|\\u\w{4}")


@dataclass
class Tally:
    """How cases ended."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    slowest: tuple[float, int] = (0.0, -1)
    """Seconds, and the number of the case."""
    _found: dict[tuple[str, str], list[int]] = field(default_factory=lambda: defaultdict(list))

    def add(self, number: int, kind: str, outcome: str, detail: str, seconds: float) -> None:
        """Take note of a case."""
        self.counts[kind, outcome] += 1
        self.slowest = max(self.slowest, (round(seconds, 2), number))
        if outcome[:2].isupper():
            self._found[outcome, _VARIES.sub("~", detail)].append(number)

    @property
    def found(self) -> int:
        """Cases that ended as none should."""
        return sum(map(len, self._found.values()))

    def findings(self) -> list[str]:
        """A line for each different one, with the numbers of a few cases."""
        return [
            f"{outcome} ({len(numbers)}): {detail}; cases {', '.join(map(str, numbers[:5]))}"
            for (outcome, detail), numbers in sorted(self._found.items(), key=lambda item: -len(item[1]))
        ]

    def table(self) -> str:
        """Kinds and outcomes, as a table in Markdown."""
        kinds = sorted({kind for kind, _ in self.counts})
        outcomes = sorted({outcome for _, outcome in self.counts}, key=lambda outcome: (outcome[:2].isupper(), outcome))
        lines = ["| file | cases | " + " | ".join(outcomes) + " |", "|---|" + "---|" * (len(outcomes) + 1)]
        for kind in [*kinds, None]:
            counts = [sum(self.counts[k, outcome] for k in ([kind] if kind else kinds)) for outcome in outcomes]
            lines.append(f"| {kind or 'all'} | " + " | ".join(f"{count:,}" for count in [sum(counts), *counts]) + " |")
        return "\n".join(lines)


def run(tally: Tally, *, first: int, cases: int, seed: int, limit: float) -> Iterator[int]:
    """Run the cases into the tally; yields the number of those done so far."""
    next_, end = first, first + cases
    while next_ < end:
        for done in _worked(tally, next_, min(end, next_ + WORKER_CASES), seed, limit):
            next_ = done
            yield next_ - first


def _worked(tally: Tally, first: int, last: int, seed: int, limit: float) -> Iterator[int]:
    """Run cases in one process until the last, or one that it does not survive; yields the number of the next one."""
    command = [sys.executable, "-m", "tests.selection.corpus.fuzz.worker", str(seed), str(first), str(last)]
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=_ENVIRONMENT) as worker,
    ):
        assert worker.stdout is not None
        lines = _lines(worker.stdout.fileno())
        number, next_, began, started = first, first, time.monotonic(), False
        while next_ < last:
            line = lines(began + (limit if started else 60) - time.monotonic())
            if line is None or not line:
                hung = line is None
                if hung:
                    worker.kill()
                worker.wait()
                errors.seek(0)
                said = errors.read().decode(errors="replace")
                if not started:
                    raise RuntimeError(f"the worker did not start: {said[-2000:]}")
                outcome = HUNG if hung else _death(worker.returncode)
                tally.add(number, _kind(number), outcome, "" if hung else _where(said), time.monotonic() - began)
                yield number + 1
                return
            if line[0] == "begin":
                number, began, started = int(line[1]), time.monotonic(), True
                continue
            next_ = number + 1
            tally.add(number, line[2], line[3], line[4], time.monotonic() - began)
            yield next_


def _lines(descriptor: int):
    """A function that gives the next line's parts: [] at the end, None where none comes within some seconds."""
    held = bytearray()

    def line(seconds: float) -> list[str] | None:
        deadline = time.monotonic() + seconds
        while (at := held.find(b"\n")) < 0:
            ready, _, _ = select.select([descriptor], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                return None
            more = os.read(descriptor, 1 << 16)
            if not more:
                return []
            held.extend(more)
        found = held[:at].decode().split("\t")
        del held[: at + 1]
        return found

    return line


def _death(code: int) -> str:
    return f"KILLED BY {signal.Signals(-code).name}" if code < 0 else f"EXITED {code}"


def _where(said: str) -> str:
    """What the dying worker said: the first line, and the first of our own functions in Python's stack."""
    lines = said.splitlines()
    ours = [line.strip() for line in lines if "/selection/" in line and "/tests/" not in line]
    first = [line for line in lines if not line.startswith(("Traceback", "  ", "Thread", "Current"))]
    return " | ".join([*first[:2], *ours[:1]])[:300]


def _kind(number: int) -> str:
    return KINDS[number % len(KINDS)]


# One thread each: the cases are small, and what a case does must not hang on who is faster.
_ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
