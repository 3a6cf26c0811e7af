"""From `--loss SPEC` to a loss source: the built-in ones, those of installed packages, and the user's own."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal

from tithe.selection.errors import UsageError
from tithe.selection.losses.base import LossRequest, LossSource
from tithe.selection.losses.column import ColumnLoss
from tithe.selection.losses.command import CommandLoss
from tithe.selection.losses.constant import ConstantLoss
from tithe.selection.losses.file import FileLoss
from tithe.selection.losses.model import ModelLoss
from tithe.selection.losses.own import OwnLoss, failing_as

ENTRY_POINTS = "tithe.losses"

Reads = Literal["file", "model", "code"] | None


@dataclass(frozen=True)
class Entry:
    """A built-in source: how it is written, and how it is made from the text after the colon."""

    usage: str
    make: Callable[[str, LossRequest], LossSource]
    reads: Reads
    """What the text after the colon names: a model has a use for a device, a number format and a text rule."""


BUILT_IN = {
    "none": Entry("none", lambda argument, request: ConstantLoss(), reads=None),
    "column": Entry("column:NAME", lambda field, request: ColumnLoss(field), reads=None),
    "file": Entry("file:PATH", lambda path, request: FileLoss(path), reads="file"),
    "exec": Entry("exec:COMMAND", lambda command, request: CommandLoss(command, timeout=request.timeout), reads="code"),
    "model": Entry("model:NAME_OR_FOLDER", ModelLoss, reads="model"),
}


def reads(spec: str) -> Reads:
    """What the source that SPEC names reads besides the corpus; code, where it is none of the built-in ones."""
    name = spec.partition(":")[0]
    return BUILT_IN[name].reads if name in BUILT_IN else "code"


def runs_model(spec: str) -> bool:
    """Whether the source that SPEC names runs a language model here."""
    return reads(spec) == "model"


def make_loss_source(spec: str, request: LossRequest) -> LossSource:
    """The source that SPEC names.

    SPEC is `none`, a built-in `name:argument`, `name:argument` with a name from the entry-point group (a callable that
    takes the text after the colon), or `module:attribute`; the module may lie in the current folder. What the latter
    two may give is said in OwnLoss. Raises UsageError for any other, and TitheError for what cannot work.
    """
    if request.dtype != "auto" and not runs_model(spec):
        raise UsageError(f"--loss {spec}: --dtype means nothing to it; leave it out")
    name, _, argument = spec.partition(":")
    if name in BUILT_IN:
        entry = BUILT_IN[name]
        if bool(argument) != (":" in entry.usage):
            raise UsageError(f"--loss {spec}: it is written {entry.usage}")
        return entry.make(argument, request)
    points = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if name in points:
        with failing_as(spec):
            return OwnLoss(spec, points[name].load()(argument))
    if not argument:
        near = difflib.get_close_matches(name, [*BUILT_IN, *points], n=1)
        raise UsageError(f"--loss {spec}: no such source; {f'did you mean {near[0]}?' if near else _known(points)}")
    return OwnLoss(spec, _imported(spec, name, argument, _known(points)))


def _known(points: dict[str, Any]) -> str:
    return f"use {', '.join([*(entry.usage for entry in BUILT_IN.values()), *sorted(points)])} or module:attribute"


def _imported(spec: str, module: str, attribute: str, known: str) -> Any:
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)  # a console script does not look there, and the user's module usually lies there
    with failing_as(spec):
        try:
            value = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                raise  # it is there, and misses another
            near = difflib.get_close_matches(module, BUILT_IN, n=1)
            hint = f"did you mean {near[0]}?" if near else known
            raise UsageError(f"--loss {spec}: there is no module {error.name!r}; {hint}") from error
    for name in attribute.split("."):
        try:
            value = getattr(value, name)
        except AttributeError as error:
            raise UsageError(f"--loss {spec}: {module} has no {attribute!r}") from error
    return value
