"""From `--loss SPEC` to a loss source: the built-in ones, those of installed packages, and the user's own."""

from __future__ import annotations

import difflib
import importlib
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tithe.embedders.entries import Entry, Registry
from tithe.selection.errors import UsageError

if TYPE_CHECKING:
    from tithe.selection.losses.base import LossRequest, LossSource, Reads

ENTRY_POINTS = "tithe.losses"

LOSSES: Registry[type[LossSource]] = Registry(
    Entry("none", "tithe.selection.losses.constant:ConstantLoss", "none"),
    Entry("column", "tithe.selection.losses.column:ColumnLoss", "column:NAME"),
    Entry("file", "tithe.selection.losses.file:FileLoss", "file:PATH (with row and loss)"),
    Entry("exec", "tithe.selection.losses.command:CommandLoss", "exec:COMMAND"),
    Entry("model", "tithe.selection.losses.model:ModelLoss", "model:NAME_OR_FOLDER"),
)

OF_USERS = Entry("python", "tithe.selection.losses.own:OwnLoss", "module:attribute")
"""The source that runs the code of users and of installed packages, by its name in manifests."""


def _usage(name: str) -> str:
    """How a built-in source is written."""
    return LOSSES.words[name].partition(" ")[0]


def reads(spec: str) -> Reads:
    """What the source that SPEC names reads besides the corpus; code, where it is none of the built-in ones."""
    name = spec.partition(":")[0]
    return LOSSES[name].reads if name in LOSSES else "code"


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
    if name in LOSSES:
        if bool(argument) != (":" in _usage(name)):
            raise UsageError(f"--loss {spec}: it is written {_usage(name)}")
        return LOSSES[name].make(argument, request)
    from tithe.selection.losses.own import OwnLoss, failing_as  # late, as what reads names alone waits for no numpy

    points = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if name in points:
        with failing_as(spec):
            return OwnLoss(spec, points[name].load()(argument))
    if not argument:
        near = difflib.get_close_matches(name, [*LOSSES, *points], n=1)
        raise UsageError(f"--loss {spec}: no such source; {f'did you mean {near[0]}?' if near else _known(points)}")
    return OwnLoss(spec, _imported(spec, name, argument, _known(points)))


def _known(points: dict[str, Any]) -> str:
    return f"use {', '.join([*map(_usage, LOSSES), *sorted(points)])} or module:attribute"


def _imported(spec: str, module: str, attribute: str, known: str) -> Any:
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)  # a console script does not look there, and the user's module usually lies there
    from tithe.selection.losses.own import failing_as

    with failing_as(spec):
        try:
            value = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                raise  # it is there, and misses another
            near = difflib.get_close_matches(module, LOSSES, n=1)
            hint = f"did you mean {near[0]}?" if near else known
            raise UsageError(f"--loss {spec}: there is no module {error.name!r}; {hint}") from error
    for name in attribute.split("."):
        try:
            value = getattr(value, name)
        except AttributeError as error:
            raise UsageError(f"--loss {spec}: {module} has no {attribute!r}") from error
    return value
