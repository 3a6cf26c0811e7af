"""How the subset was made: the command line, read back from the manifest's options."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tithe.selection.options import Options


def command_line(options: Mapping[str, Any]) -> str:
    """The `tithe select` command with the options that differ from their defaults."""
    defaults = Options(inputs=(), output=Path("-")).recorded()
    parts = ["tithe", "select", *options["inputs"], "-o", options["output"]]
    for name, value in options.items():
        if name in ("inputs", "output") or value is None:
            continue
        if (list(value) if isinstance(value, list | tuple) else value) == _plain(defaults.get(name)):
            continue
        flag = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            parts.append(flag if value else "--no-" + flag[2:])
        else:
            for item in value if isinstance(value, list | tuple) else [value]:
                parts += [flag, str(item)]
    return shlex.join(parts)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
