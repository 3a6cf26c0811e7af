"""`make bench`: runs the benchmarks named on the command line, or all; tables go to build/benchmarks."""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path

from tests.benchmarks.common import RESULTS, machine

NAMES = (
    "blas",
    "lexical",
    "estimation",
    "training_t0",
    "sampling",
    "evidence",
    "end_to_end",
    "kmeans",
    "precomputed",
    "threads",
)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="NAME", help=", ".join(NAMES))
    names = parser.parse_args().names or NAMES
    RESULTS.mkdir(parents=True, exist_ok=True)
    print(machine())
    for name in names:
        module = importlib.import_module(f"tests.benchmarks.{name}")
        print(f"\n## {name}\n\n{module.__doc__}\n", flush=True)
        tables = module.run()
        (RESULTS / f"{name}.json").write_text(json.dumps({"machine": machine(), "tables": tables}, indent=2))
        text = "\n\n".join(_markdown(table) for table in tables) or "skipped: TITHE_DATA is not set"
        (RESULTS / f"{name}.md").write_text(text + "\n")
        print(text, flush=True)
    print(f"\nwritten to {Path(RESULTS)}")


def _markdown(table: list[dict]) -> str:
    keys = list(table[0])
    lines = ["| " + " | ".join(keys) + " |", "|" + "---|" * len(keys)]
    lines += ["| " + " | ".join(_cell(row[key]) for key in keys) + " |" for row in table]
    return "\n".join(lines)


def _cell(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
