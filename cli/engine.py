"""The engine that the options of a selection name."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from tithe.cli.options import is_debugging

if TYPE_CHECKING:
    from tithe.selection.engine.executor import Executor
    from tithe.selection.options.options import Options


def executor_of(options: Options) -> AbstractContextManager[Executor | None]:
    """What runs the work while the block lasts; None: this process."""
    if options.engine == "local":
        return nullcontext()
    from tithe.selection.engine.ray_cluster import ray_engine

    return ray_engine(options, debug=is_debugging())
