"""The engine that the options of a selection name."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from tithe.cli.options import is_debugging

if TYPE_CHECKING:
    from tithe.selection.engines.engine import Engine
    from tithe.selection.options import Options


def engine_of(options: Options) -> AbstractContextManager[Engine | None]:
    """The engine, while the block runs; None: this process."""
    if options.engine == "local":
        return nullcontext()
    from tithe.selection.engines.ray_cluster import ray_engine

    return ray_engine(options, debug=is_debugging())
