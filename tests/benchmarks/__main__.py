"""`make bench`: runs the benchmarks named on the command line, or all; tables and plots go to build/benchmarks.

With --quick, those that have a short form, from fewer draws. With --write, the tables of each benchmark that ran go into
tests/benchmarks/README.md as well, in the place of those of its last run, with the machine, the day and the command.
"""

from __future__ import annotations

import argparse
import importlib
import json
from datetime import date
from pathlib import Path

from tests.benchmarks.common import RESULTS, machine
from tests.benchmarks.document import DOCUMENT, markdown, measured, written
from tests.benchmarks.plots import plot

NAMES = (
    "estimation",
    "training_clinc",
    "training_t0",
    "regression",
    "costs",
    "evidence",
    "coverage",
    "sampling",
    "tokens",
    "lexical",
    "end_to_end",
    "precomputed",
    "kmeans",
    "large_k",
    "many_clusters",
    "blas",
    "threads",
    "state",
    "limits",
    "engines",
    "resume",
    "append",
)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    print(machine())
    for name in asked.names or NAMES:
        _run(name, quick=asked.quick, write=asked.write)
    print(f"\nwritten to {Path(RESULTS)}" + (f" and {DOCUMENT}" if asked.write else ""))


def _run(name: str, *, quick: bool, write: bool) -> None:
    module = importlib.import_module(f"tests.benchmarks.{name}")
    run = getattr(module, "run_quick", None) if quick else module.run
    if run is None:
        return
    print(f"\n## {name}\n\n{module.__doc__}\n", flush=True)
    tables = run()
    if not quick:
        (RESULTS / f"{name}.json").write_text(json.dumps({"machine": machine(), "tables": tables}, indent=2))
    text = "\n\n".join(map(markdown, tables)) or "skipped: TITHE_DATA is not set"
    (RESULTS / f"{name}{'-quick' if quick else ''}.md").write_text(text + "\n")
    plot(name, tables, RESULTS)
    print(text, flush=True)
    if write and tables:
        command = f"python -m tests.benchmarks {name}{' --quick' if quick else ''} --write"
        part = measured(module.__doc__ or "", tables, machine=machine(), day=str(date.today()), command=command)
        DOCUMENT.write_text(written(DOCUMENT.read_text(encoding="utf-8"), name, part), encoding="utf-8")


if __name__ == "__main__":
    main()
