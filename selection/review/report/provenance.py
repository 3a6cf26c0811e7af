"""How the subset was made: the command line, read back from the manifest's options."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tithe.selection.options.options import Options

# What the command line says in the names of files.
_IN_NAMES = frozenset({"inputs", "output", "shards"})


def command_line(options: Mapping[str, Any]) -> str:
    """The `tithe select` command with the options that differ from their defaults; it runs in the folder of the run."""
    defaults = Options(inputs=(), output=Path("-")).recorded()
    output = options["output"] + ("/" if options["shards"] else "")
    parts = ["-o", output]
    for name, value in options.items():
        default = defaults.get(name)
        if name in _IN_NAMES or value is None or value == (list(default) if isinstance(default, tuple) else default):
            continue
        flag = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            parts.append(flag if value else "--no-" + flag[2:])
        else:
            for item in value if isinstance(value, list | tuple) else [value]:
                parts += [flag, str(item)]
    inputs = options["inputs"]
    if any(name.startswith("-") and name != "-" for name in inputs):
        parts += ["--", *inputs]
    else:
        parts = [*inputs, *parts]
    return shlex.join(["tithe", "select", *parts])
