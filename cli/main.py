"""The `tithe` command: its subcommands, and the one place where errors become exit codes."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from types import FrameType

# Before anything imports numpy or faiss: both bring an OpenBLAS, which looks at its settings only once.
from tithe.selection.blas import choose_kernel

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
from tithe.cli.verify import verify  # noqa: E402
from tithe.cli.versions import versions  # noqa: E402
from tithe.embedders.errors import EncoderError  # noqa: E402
from tithe.selection.errors import TitheError, UsageError  # noqa: E402


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
    """Run the command line and exit: 0 done, 1 it failed, 2 it was asked the wrong way, 3 drifted, 130 interrupted."""
    signal.signal(signal.SIGTERM, _stop)
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    try:
        # The exit code that a command chose, or None.
        code = tithe.main(arguments, prog_name="tithe", standalone_mode=False) or 0
    except click.ClickException as error:
        help_ = f"{error.ctx.command_path} --help" if isinstance(error, click.UsageError) and error.ctx else ""
        code = _failed(error.format_message() + (f" (see {help_})" if help_ else ""), error.exit_code, debug)
    except (click.Abort, KeyboardInterrupt):
        code = _failed("interrupted; nothing was written", 130, debug)
    except UsageError as error:
        code = _failed(str(error), 2, debug)
    except (TitheError, EncoderError) as error:
        code = _failed(str(error), 1, debug)
    except BrokenPipeError:
        # Whoever reads standard output has gone; Python would complain again when it closes it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        code = _failed(f"{place}{error.strerror or error}", 1, debug)
    except MemoryError:
        code = _failed("out of memory; fewer --clusters or a smaller --batch-size need less", 1, debug)
    except Exception as error:
        code = _failed(f"internal error: {error!r} (--debug shows where; please report it)", 1, debug)
    sys.exit(code)


def _failed(message: str, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    click.echo("tithe: " + " ".join(message.split("\n")), err=True)
    return code


def _stop(number: int, frame: FrameType | None) -> None:
    # As an exception, so that temporary files are removed on the way out.
    sys.exit(128 + number)
