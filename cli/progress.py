"""Progress bars on stderr, when it is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tithe.cli.terminal import bars
from tithe.selection.engine.stages import Advance, Progress, no_progress
from tithe.selection.errors import printable


def terminal_progress(*, quiet: bool) -> Progress:
    """Bars with rate and remaining time where someone is watching, nothing elsewhere."""
    return no_progress if quiet or not sys.stderr.isatty() else _bar


@contextmanager
def _bar(name: str, total: int | None, unit: str) -> Iterator[Advance]:
    from tqdm import tqdm

    with tqdm(
        desc=f"{printable(name):>20}",
        total=total,
        unit=f" {printable(unit)}",
        unit_scale=True,
        leave=False,
        dynamic_ncols=True,
        file=bars(),
    ) as bar:
        yield bar.update
