"""What the benchmarks share: the data folder, whole processes with their time and memory, the machine."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

Table = list[dict[str, object]]

RESULTS = Path("build/benchmarks")
TITHE = (sys.executable, "-c", "from tithe.cli.main import main; main()")

# A setting of the person who runs this would hide what the wheel does as shipped.
SHIPPED = {name: value for name, value in os.environ.items() if not name.startswith(("OPENBLAS", "OMP", "MKL"))}


def data(name: str) -> Path | None:
    """A file of the data folder TITHE_DATA, or None where that is not set."""
    folder = os.environ.get("TITHE_DATA")
    return Path(folder) / name if folder else None


@dataclass(frozen=True)
class Cost:
    """What a whole process took."""

    seconds: float
    peak_mib: float


def cost(command: tuple[str, ...] | list[str], **environment: str) -> Cost:
    """Run a command to its end; wall-clock seconds and peak resident memory as the operating system counts them."""
    with tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        process = subprocess.Popen(command, env={**SHIPPED, **environment}, stdout=subprocess.DEVNULL, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        if status:
            err.seek(0)
            raise RuntimeError(f"{command} failed: {err.read().decode()[-2000:]}")
    return Cost(seconds, usage.ru_maxrss / 1024)


def machine() -> str:
    """One line on the machine."""
    names = [line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")]
    return f"{os.cpu_count()} cores, {names[0] if names else 'unknown CPU'}, Python {sys.version.split()[0]}"


def _cpuinfo() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []
