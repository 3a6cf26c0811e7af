"""Reads many damaged files as a selection does: never a hang, a crash or a traceback.

    python -m tests.selection.corpus.fuzz --cases 100000 --seed 0

The table says how often each kind of file ended how. What should not happen is in capitals, and listed with the
numbers of the cases; `--case N` repeats one in this process, and `--keep FILE` writes down what was read.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from tests.selection.corpus.fuzz.cases import make_case
from tests.selection.corpus.fuzz.parent import Tally, run
from tests.selection.corpus.fuzz.reading import read


def main() -> None:
    """Run, print, and exit with 1 where something was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=20, help="seconds a case may take")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long")
    parser.add_argument("--case", type=int, help="this one only, in this process")
    parser.add_argument("--keep", type=Path, help="with --case: where to write the file that is read")
    asked = parser.parse_args()
    if asked.case is not None:
        _one(asked.case, asked.seed, asked.keep)
        return
    started = shown = time.monotonic()
    tally = Tally()
    done = 0
    for done in run(tally, first=asked.first, cases=asked.cases, seed=asked.seed, limit=asked.limit):
        if time.monotonic() - shown > 20:
            shown = time.monotonic()
            rate = done / (shown - started)
            click.echo(f"{done:,} of {asked.cases:,} cases, {rate:.0f}/s, {tally.found} findings", err=True)
        if time.monotonic() - started > asked.seconds:
            break
    click.echo(tally.table())
    click.echo(f"\n{done:,} cases, {done / (time.monotonic() - started):.0f}/s; slowest: {tally.slowest}")
    for line in tally.findings():
        click.echo(line)
    sys.exit(tally.found > 0)


def _one(number: int, seed: int, keep: Path | None) -> None:
    case = make_case(number, seed)
    click.echo(f"{case.kind}: {case.name}, {len(case.content):,} bytes")
    if keep is not None:
        keep.write_bytes(case.content)
    try:
        with TemporaryDirectory(prefix="tithe-fuzz-") as folder:
            click.echo(read(case, Path(folder)))
    except Exception:
        traceback.print_exc()


if __name__ == "__main__":
    main()
