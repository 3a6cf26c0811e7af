"""`--config FILE.toml`: the same options as the command line; flags win."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path
from typing import Any

import click

from tithe.embedders.reading import open_regular

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pyright: ignore[reportMissingImports]

# What makes no sense in a file, or would have no end.
_ONLY_FLAGS = frozenset({"config", "help", "debug", "json"})


def use_config(context: click.Context, parameter: click.Parameter, path: Path | None) -> None:
    """An eager option's callback: makes the file's values the defaults of the command.

    Raises click.UsageError for a file that is no TOML, for keys that are no options and for values of a wrong kind.
    """
    if path is None:
        return
    try:
        with open_regular(path) as file:
            values = tomllib.load(file)
    except OSError as error:
        raise click.UsageError(f"--config {path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:  # besides what is no TOML: too many digits, too deep
        raise click.UsageError(f"--config {path}: is not valid TOML ({error})") from error
    parameters = _by_key(context.command)
    defaults: dict[str, Any] = {}
    for key, value in values.items():
        name = key.replace("_", "-")
        if name not in parameters:
            near = difflib.get_close_matches(name, parameters, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(parameters)}"
            raise click.UsageError(f"--config {path}: unknown key {key!r}; {hint}")
        defaults[parameters[name].name or name] = _checked(path, key, value, parameters[name])
    context.default_map = {**(context.default_map or {}), **defaults}


def _by_key(command: click.Command) -> dict[str, click.Parameter]:
    keys: dict[str, click.Parameter] = {}
    for parameter in command.params:
        name = max(parameter.opts, key=len).lstrip("-")
        if name not in _ONLY_FLAGS:
            keys[name] = parameter
    return keys


def _checked(path: Path, key: str, value: Any, parameter: click.Parameter) -> Any:
    """What the option takes: true or false, or the words that would stand on the command line."""
    flag = isinstance(parameter, click.Option) and parameter.is_flag
    if flag:
        if not isinstance(value, bool):
            raise click.UsageError(f"--config {path}: {key!r} must be true or false")
        return value
    several = parameter.multiple or parameter.nargs == -1
    items = value if several and isinstance(value, list) else [value]
    for item in items:
        if isinstance(item, bool) or not isinstance(item, str | int | float) or "\0" in str(item):
            kind = "text or a number, or a list of these" if several else "text or a number"
            raise click.UsageError(f"--config {path}: {key!r} must be {kind}")
    words = [str(item) for item in items]
    return words if several else words[0]
