"""The kernel that faiss's BLAS should use, chosen before faiss is imported.

The wheel of faiss-cpu bundles an OpenBLAS that does not know recent CPUs and falls back to kernels for SSE, at a
fraction of the speed (tests/benchmarks/blas.py). OPENBLAS_CORETYPE overrides its choice, but is read only once, while
the library loads.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType

VARIABLE = "OPENBLAS_CORETYPE"

# Widest kernels first, each with what OpenBLAS's own CPU detection asks for.
_KERNELS = {
    "SkylakeX": frozenset({"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512cd"}),
    "Haswell": frozenset({"avx2", "fma"}),
}

_chosen: str | None = None


def choose_kernel(cpu_flags: frozenset[str] | None = None) -> str | None:
    """Set OPENBLAS_CORETYPE to the widest kernel this CPU can run, where nobody has set it.

    Does nothing once faiss is loaded, on other systems than Linux, and where the flags name no known kernel.
    Returns the kernel that was set here, or None.
    """
    global _chosen
    if VARIABLE in os.environ or "faiss" in sys.modules:
        return _chosen
    flags = _cpu_flags() if cpu_flags is None else cpu_flags
    for kernel, needed in _KERNELS.items():
        if needed <= flags:
            os.environ[VARIABLE] = _chosen = kernel
            break
    return _chosen


def description() -> dict[str, str | None]:
    """Which kernel was asked for, and by whom: for the manifest, since another kernel rounds differently."""
    by = None if VARIABLE not in os.environ else "tithe" if _chosen else "environment"
    return {"kernel": os.environ.get(VARIABLE), "set_by": by}


def environment() -> dict[str, str]:
    """The environment as the user set it: what a command started by tithe should see."""
    return {name: value for name, value in os.environ.items() if not (_chosen and name == VARIABLE)}


def load_faiss() -> ModuleType:
    """Import faiss with the right kernel."""
    choose_kernel()
    import faiss

    return faiss


def _cpu_flags() -> frozenset[str]:
    try:
        info = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    for line in info.splitlines():
        if line.startswith("flags"):
            return frozenset(line.partition(":")[2].split())
    return frozenset()
