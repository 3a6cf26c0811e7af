"""`make bench`: runs the benchmarks named on the command line, or all; tables and plots go to build/benchmarks.

With --quick, those that have a short form, from fewer draws. With --readme, nothing is run: the tables of build/benchmarks
are put into README.md, between the markers that name them.
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
from pathlib import Path
from typing import Any

from tests.benchmarks.common import RESULTS, machine
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

_MARKED = re.compile(r"(<!-- table (\w+) (\d+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--readme", action="store_true")
    asked = parser.parse_args()
    if asked.readme:
        _fill_readme(Path("README.md"))
        return
    RESULTS.mkdir(parents=True, exist_ok=True)
    print(machine())
    for name in asked.names or NAMES:
        module = importlib.import_module(f"tests.benchmarks.{name}")
        run = getattr(module, "run_quick", None) if asked.quick else module.run
        if run is None:
            continue
        print(f"\n## {name}\n\n{module.__doc__}\n", flush=True)
        tables = run()
        if not asked.quick:
            (RESULTS / f"{name}.json").write_text(json.dumps({"machine": machine(), "tables": tables}, indent=2))
        text = "\n\n".join(_markdown(table) for table in tables) or "skipped: TITHE_DATA is not set"
        (RESULTS / f"{name}{'-quick' if asked.quick else ''}.md").write_text(text + "\n")
        plot(name, tables, RESULTS)
        print(text, flush=True)
    print(f"\nwritten to {Path(RESULTS)}")


def _fill_readme(readme: Path) -> None:
    def table(marker: re.Match[str]) -> str:
        tables = json.loads((RESULTS / f"{marker[2]}.json").read_text())["tables"]
        return f"{marker[1]}{_markdown(tables[int(marker[3])])}\n{marker[4]}"

    readme.write_text(_MARKED.sub(table, readme.read_text(encoding="utf-8")), encoding="utf-8")


def _markdown(table: list[dict[str, Any]]) -> str:
    keys = list(table[0])
    lines = ["| " + " | ".join(keys) + " |", "|" + "---|" * len(keys)]
    lines += ["| " + " | ".join(_cell(row[key]) for key in keys) + " |" for row in table]
    return "\n".join(lines)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    main()
