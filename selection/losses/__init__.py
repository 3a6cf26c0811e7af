"""Where the losses of the centres come from: one file a source, one line each in the registry."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from tithe.selection.errors import UsageError
from tithe.selection.losses.base import LossSource
from tithe.selection.losses.column import ColumnLoss
from tithe.selection.losses.command import CommandLoss
from tithe.selection.losses.constant import ConstantLoss
from tithe.selection.losses.file import FileLoss

__all__ = ["LossSource", "make_loss_source"]

# From the text after the colon, and the seconds that a source may be silent.
_SOURCES: dict[str, Callable[[str, float], LossSource]] = {
    "column": lambda field, timeout: ColumnLoss(field),
    "file": lambda path, timeout: FileLoss(path),
    "exec": lambda command, timeout: CommandLoss(command, timeout=timeout),
}


def make_loss_source(spec: str, *, timeout: float) -> LossSource:
    """The source that a specification names: `none`, or `name:argument`. Raises UsageError for any other."""
    name, _, argument = spec.partition(":")
    if spec == "none":
        return ConstantLoss()
    if name not in _SOURCES:
        near = difflib.get_close_matches(name, ["none", *_SOURCES], n=1)
        hint = f"did you mean {near[0]}?" if near else "use none, column:NAME, file:PATH or exec:COMMAND"
        raise UsageError(f"--loss {spec}: no such source; {hint}")
    if not argument:
        raise UsageError(f"--loss {spec}: something must follow the colon, as in column:NAME, file:PATH, exec:COMMAND")
    return _SOURCES[name](argument, timeout)
