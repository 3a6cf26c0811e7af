"""What the benchmarks share: the data folder, whole processes with their time and memory, the machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Table = list[dict[str, object]]

RESULTS = Path("build/benchmarks")
CACHE = RESULTS / "cache"
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
    """Run a command to its end; wall-clock seconds and peak resident memory as the operating system counts them.

    A small process starts it and waits for it: the count of a process begins at what its parent held. What tithe keeps
    for later runs is not kept.
    """
    Path("build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir="build") as cache:
        run = subprocess.run(
            [sys.executable, "-S", "-c", _WAITER, *command],
            env={**SHIPPED, "XDG_CACHE_HOME": str(Path(cache).absolute()), **environment},
            capture_output=True,
            text=True,
        )
    if run.returncode:
        raise RuntimeError(f"{command} failed: {run.stderr[-2000:]}")
    seconds, kib = run.stdout.split()[-2:]
    return Cost(float(seconds), int(kib) / 1024)


def selection(corpus: Path, folder: Path, *arguments: str) -> tuple[dict[str, Any], Cost]:
    """Select from a corpus into `folder`: the manifest, and what the process took. What is kept lies in folder/work."""
    subset = folder / "s.parquet"
    options = ("-o", str(subset), "--work-dir", str(folder / "work"), "--force", "--quiet")
    spent = cost([*TITHE, "select", str(corpus), *options, *arguments])
    return json.loads((folder / "s.parquet.manifest.json").read_text()), spent


def seconds_by_stage(manifest: dict[str, Any]) -> dict[str, float]:
    """What each stage of a run took."""
    return {stage["stage"]: stage["seconds"] for stage in manifest["run"]["stages"]}


def forecast_cost(corpus: Path, *arguments: str) -> Cost:
    """What `--dry-run` says that a selection would take."""
    command = [*TITHE, "select", str(corpus), "--dry-run", "--json", *arguments]
    said = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, env=SHIPPED).stdout)
    return Cost(said["seconds"], said["memory_bytes"] / 2**20)


_WAITER = """
import os, sys, time
start = time.perf_counter()
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)])
_, status, usage = os.wait4(pid, 0)
print(time.perf_counter() - start, usage.ru_maxrss)
sys.exit(status != 0)
"""


def machine() -> str:
    """One line on the machine."""
    names = [line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")]
    return f"{os.cpu_count()} cores, {names[0] if names else 'unknown CPU'}, Python {sys.version.split()[0]}"


def _cpuinfo() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []
