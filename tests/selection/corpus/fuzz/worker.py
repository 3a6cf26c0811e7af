"""Reads cases in a process of its own, whose end harms nobody; a line on standard output before and after each."""

from __future__ import annotations

import faulthandler
import gc
import resource
import sys
import traceback
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.selection.corpus.fuzz.cases import Case, make_case, parquet_files
from tests.selection.corpus.fuzz.reading import Finding, read

# Address space that a case may take.
MEMORY = 3 << 29


def main() -> None:
    """Read the cases from one number up to another, every so many."""
    seed, first, last = map(int, sys.argv[1:])
    faulthandler.enable()
    with TemporaryDirectory(prefix="tithe-fuzz-") as folder:
        _work(range(first, last), seed, Path(folder))


def _work(numbers: range, seed: int, folder: Path) -> None:
    for content in parquet_files()[::9]:
        read(Case("", "c.parquet", content), folder)
    for number in numbers:
        if number % 50 == 0:
            gc.collect()
        limit_memory()
        print(f"begin\t{number}", flush=True)  # noqa: T201
        print("\t".join(("end", str(number), *outcome_of(number, seed, folder))), flush=True)  # noqa: T201


def outcome_of(number: int, seed: int, folder: Path) -> tuple[str, str, str]:
    """The kind of a case, how it ended, and what is to be said of it."""
    case = make_case(number, seed)
    try:
        return case.kind, read(case, folder), ""
    except Finding as finding:
        return case.kind, finding.args[0], f"{finding.args[1]}"
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in where if "/selection/" in frame.filename and "/tests/" not in frame.filename]
        frame = (ours or where)[-1]
        place = f"{Path(frame.filename).name}:{frame.lineno}"
        return case.kind, f"RAISED {type(error).__name__}", f"{place}: {str(error)[:200]!r}"


def limit_memory() -> None:
    """From now on, until it is called again, this process may not grow by more than MEMORY."""
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, resource.RLIM_INFINITY))


if __name__ == "__main__":
    main()
