"""The options of the commands that select: those that Options declares, and how a command is conducted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from tithe.cli.config_file import use_config
from tithe.cli.places import WORK_FOLDER
from tithe.cli.size import Size
from tithe.selection.options.declared import Option
from tithe.selection.options.options import OPTIONS

_Command = TypeVar("_Command", bound=Callable[..., Any])
_Decorator = Callable[[Any], Any]


def apply(options: Iterable[_Decorator]) -> Callable[[_Command], _Command]:
    """A decorator that adds options in the order in which help lists them."""

    def decorate(command: _Command) -> _Command:
        for option in reversed([*options]):
            command = option(command)
        return command

    return decorate


def selection_options(*, centers: bool = False, helps: Mapping[str, str] | None = None) -> list[_Decorator]:
    """The options that Options declares; with `centers` those that `tithe centers` has, too.

    `helps` are other help texts, by field.
    """
    declared = [one for one in OPTIONS if one.declared.on_command_line and (one.declared.centers or not centers)]
    return [_click_option(one, (helps or {}).get(one.field, one.declared.help)) for one in declared]


class _NumberOr(click.ParamType):
    """A number, or a word that stands for None."""

    def __init__(self, word: str) -> None:
        self._word = word
        self.name = f"number or {word}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        if value is None or value == self._word:
            return None
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number nor {self._word}", param, ctx)


def _numbers(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> tuple[float, ...]:
    try:
        return tuple(float(part) for text in given for part in text.split(","))
    except ValueError:
        raise click.BadParameter(f"{','.join(given)}: numbers are needed", context, parameter) from None


def _names(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.strip() for names in given for name in names.split(","))


_TYPES = {"int": int, "float": float}
_WRITTEN = {"size": Size(), "folder": WORK_FOLDER}
_CALLBACKS = {"numbers": _numbers, "names": _names}


def _click_option(one: Option, help: str) -> _Decorator:
    declared = one.declared
    switch = one.item == "bool"
    words = declared.default_words
    settings: dict[str, Any] = {
        "help": help if words is None else f"{help}  [default: {words}]",
        "metavar": declared.metavar,
        "default": () if one.several else one.default,
        "show_default": words is None and not switch and not one.several and one.default is not None,
    }
    if switch:
        names = f"{one.flag}/--no-{one.flag[2:]}" if one.default else one.flag
        return click.option(names, one.field, is_flag=True, **settings)
    if one.several:
        settings.update(multiple=True, callback=_CALLBACKS.get(declared.written or ""))
    else:
        settings["type"] = _type(one)
    return click.option(one.flag, one.field, **settings)


def _type(one: Option) -> Any:
    declared = one.declared
    if declared.absent is not None:
        return _NumberOr(declared.absent)
    if declared.written in _WRITTEN:
        return _WRITTEN[declared.written]
    if declared.one_of and one.item not in _TYPES:
        return click.Choice([*declared.one_of])
    return _TYPES.get(one.item, str)


_DEBUGGING = "tithe.debug"


def _debugging(context: click.Context, parameter: click.Parameter, given: bool) -> None:
    context.meta[_DEBUGGING] = given


def is_debugging() -> bool:
    """Whether the command that runs was given --debug."""
    return bool(click.get_current_context().meta.get(_DEBUGGING))


DEBUG = click.option(
    "--debug", is_flag=True, expose_value=False, callback=_debugging, help="Show a traceback when something fails."
)

INPUTS = click.argument("inputs", nargs=-1, metavar="INPUT...")

CONDUCT: list[_Decorator] = [
    click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        is_eager=True,
        expose_value=False,
        callback=use_config,
        metavar="FILE.toml",
        help="Options from a file; those given here win.",
    ),
    click.option("--force", is_flag=True, help="Overwrite outputs that exist."),
    click.option("--quiet", is_flag=True, help="No progress, no summary."),
    DEBUG,
]
