"""The `tithe` command: its subcommands, and the one place where errors become exit codes."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# Before anything imports numpy or faiss: both bring an OpenBLAS, which looks at its settings only once.
from tithe.selection.engine.blas import choose_kernel

choose_kernel()

import click  # noqa: E402

from tithe.cli.cache import cache  # noqa: E402
from tithe.cli.centers import centers  # noqa: E402
from tithe.cli.diff import diff  # noqa: E402
from tithe.cli.encoders import encoders  # noqa: E402
from tithe.cli.explain import explain  # noqa: E402
from tithe.cli.replay import replay  # noqa: E402
from tithe.cli.report import report  # noqa: E402
from tithe.cli.select import select  # noqa: E402
from tithe.cli.terminal import ReaderGone, guarded, say  # noqa: E402
from tithe.cli.verify import verify  # noqa: E402
from tithe.cli.versions import versions  # noqa: E402
from tithe.embedders.errors import EncoderError  # noqa: E402
from tithe.selection.errors import TitheError, UsageError  # noqa: E402

_STOPPED = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, no_args_is_help=False)
@click.version_option(package_name="tithe", message="%(prog)s %(version)s")
def tithe() -> None:
    """Shrink a fine-tuning corpus to a weighted subset that stands for the whole."""


tithe.add_command(select)
tithe.add_command(centers)
tithe.add_command(cache)
tithe.add_command(encoders)
tithe.add_command(report)
tithe.add_command(verify)
tithe.add_command(replay)
tithe.add_command(diff)
tithe.add_command(explain)
tithe.add_command(versions)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 it failed, 2 it was asked the wrong way, 3 drifted, 130 interrupted.

    Where the reader of standard output has left, the process ends as other programs do: by SIGPIPE.
    """
    with guarded(), _stopping() as stop:
        code = _run(sys.argv[1:] if arguments is None else arguments, stop)
    if code == -signal.SIGPIPE:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGPIPE)
    sys.exit(code)


def _run(arguments: list[str], stop: _Stop) -> int:
    """Run the command line, say what went wrong, and return the exit code."""
    # Asked for wherever it stands; what follows -- are names.
    debug = "--debug" in itertools.takewhile(lambda argument: argument != "--", arguments)
    try:
        # The exit code that a command chose, or None.
        return tithe.main(arguments, prog_name="tithe", standalone_mode=False) or 0
    except click.ClickException as error:
        help_ = f"{error.ctx.command_path} --help" if isinstance(error, click.UsageError) and error.ctx else ""
        message = " ".join(error.format_message().split())
        return _failed(message + (f" (see {help_})" if help_ else ""), error.exit_code, debug)
    except UsageError as error:
        return _failed(str(error), 2, debug)
    except (TitheError, EncoderError) as error:
        return _failed(str(error), 1, debug)
    except ReaderGone:
        return -signal.SIGPIPE
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _failed(f"{place}{error.strerror or error}", 1, debug)
    except MemoryError:
        return _failed("out of memory; fewer --clusters or a smaller --batch-size need less", 1, debug)
    except BaseException as error:
        if stop.number is not None:  # libraries that are being imported make other errors of an interruption
            return _failed(_STOPPED[signal.Signals(stop.number)], 128 + stop.number, debug)
        if not isinstance(error, Exception):
            raise
        return _failed(f"internal error: {error!r} (--debug shows where; please report it)", 1, debug)


def _failed(message: str, code: int, debug: bool) -> int:
    if debug:
        for line in traceback.format_exc().splitlines():
            say(f"  {line}")  # what an error says in lines of its own is not taken for ours
    say(f"tithe: {message}")
    return code


class _Stop:
    """A handler of signals that ends the run by an exception, so that temporary files are removed on the way out."""

    number: int | None = None
    """Of the signal that came."""

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        sys.exit(128 + number)


@contextmanager
def _stopping() -> Iterator[_Stop]:
    """While the block runs, an interruption is an exception; a signal that is ignored stays so."""
    stop = _Stop()
    before = {number: signal.getsignal(number) for number in _STOPPED}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            if handler is not None:  # one that is not Python's
                signal.signal(number, handler)
