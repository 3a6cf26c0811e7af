"""The program `tithe`: what must hold before anything else is imported.

Importing takes a moment, in which a user may change their mind: nothing has been written yet, so the process just ends.
"""

import sys

try:
    import os
    import signal
    from types import FrameType
except KeyboardInterrupt:
    sys.exit(130)


def start() -> None:
    """Run the command line in this process, and end it."""
    _catch()
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # Else the next file that is opened would be standard output, and get what a library prints there.
            os.open(os.devnull, os.O_RDWR)
    from tithe.cli.main import main

    try:
        main()
    finally:
        _catch()  # nothing is left to be tidied up


def _catch() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _leave)


def _leave(number: int, frame: FrameType | None) -> None:
    os._exit(128 + number)
