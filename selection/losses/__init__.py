"""Where the losses of the centres come from: one file a source, one line each in the registry."""

from __future__ import annotations

from tithe.selection.errors import UsageError
from tithe.selection.losses.base import LossSource
from tithe.selection.losses.column import ColumnLoss
from tithe.selection.losses.constant import ConstantLoss

__all__ = ["ColumnLoss", "ConstantLoss", "LossSource", "make_loss_source"]


def make_loss_source(spec: str) -> LossSource:
    """The source that a specification names: `none` or `column:NAME`. Raises UsageError for any other."""
    name, _, argument = spec.partition(":")
    if spec == "none":
        return ConstantLoss()
    if name == "column" and argument:
        return ColumnLoss(argument)
    raise UsageError(f"--loss {spec!r}: use none or column:NAME")
