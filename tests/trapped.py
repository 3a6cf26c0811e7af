"""The command line in a process of its own, watched: what it connects to, how long it takes, what it prints, byte by byte.

The processes are forked from one that has imported what takes long.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from dataclasses import dataclass
from pathlib import Path

LONGEST = 10.0
"""Seconds that a command may take."""

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.trapped", "tithe.cli.main", "tithe.selection.pipeline"])


@dataclass(frozen=True)
class Ending:
    """How a command ended."""

    code: int | None
    """None: it did not, and was killed."""
    out: bytes
    err: bytes
    reached_for: str
    """What Python code wanted to connect to, or to know the address of."""


def run(arguments: list[str], folder: Path, environment: dict[str, str], scratch: Path) -> Ending:
    """Run `tithe ARGUMENTS` in a folder; what it prints goes to files in `scratch`."""
    scratch.mkdir(exist_ok=True)
    for name in ("out", "err", "net"):
        (scratch / name).write_bytes(b"")
    process = _CONTEXT.Process(target=_command, args=(arguments, folder, environment, scratch))
    process.start()
    process.join(LONGEST)
    if process.is_alive():
        process.kill()
        process.join()
        code = None
    else:
        code = process.exitcode
    out, err = ((scratch / name).read_bytes() for name in ("out", "err"))
    return Ending(code, out, err, (scratch / "net").read_text())


def _command(arguments: list[str], folder: Path, environment: dict[str, str], scratch: Path) -> None:
    for descriptor, name in enumerate((os.devnull, scratch / "out", scratch / "err")):
        os.dup2(os.open(name, os.O_RDWR), descriptor)
    net = os.open(scratch / "net", os.O_WRONLY | os.O_APPEND)

    def watch(event: str, details: tuple[object, ...]) -> None:
        if event in ("socket.connect", "socket.getaddrinfo"):
            os.write(net, f"{event} {details[-1] if event == 'socket.connect' else details[0]}\n".encode())

    sys.addaudithook(watch)
    os.environ.update(environment)
    os.chdir(folder)
    from tithe.cli.main import main

    main(arguments)
