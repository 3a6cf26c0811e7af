"""`exec:COMMAND`: any program that reads records and writes losses."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tithe.selection.corpus.corpus import Corpus
from tithe.selection.corpus.json_lines import json_lines
from tithe.selection.engine.blas import environment
from tithe.selection.errors import TitheError
from tithe.selection.losses.base import Facts, LossRequest, LossSource, checked_loss
from tithe.selection.losses.pipes import Pipes
from tithe.selection.sizes import counted

# How often it is looked at whether the command has ended, while others keep its pipes open.
_LOOK = 0.2


class CommandLoss(LossSource):
    """Runs a shell command: records go to its standard input, a JSON object with `loss` comes back for each, in order.

    The command is stopped, with all it started, when it says nothing for `timeout` seconds.
    """

    reads = "code"
    FACTS: ClassVar[Facts] = {"command": {"description": "exec: the command.", "type": "string"}}

    def __init__(self, command: str, *, timeout: float) -> None:
        self._command = command
        self._timeout = timeout
        self.asked = 0

    @classmethod
    def make(cls, argument: str, request: LossRequest) -> CommandLoss:
        return cls(argument, timeout=request.timeout)

    def losses(self, corpus: Corpus, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Raises TitheError, with the end of the command's stderr, for other answers."""
        self.asked += len(rows)
        process = subprocess.Popen(
            self._command,
            shell=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env=environment(),
        )
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        pipes = Pipes(process.stdin, process.stdout, process.stderr, _lines(corpus, rows))
        try:
            try:
                found = self._converse(process, pipes, len(rows))
            finally:
                _stop(process)
                pipes.stop()
        except _Failure as failure:
            if pipes.trouble:  # it was given less than it should have been
                raise pipes.trouble[0] from failure
            raise TitheError(f"--loss exec:{self._command}: {failure}{_last_words(pipes.last_words)}") from failure
        if pipes.trouble:
            raise pipes.trouble[0]
        return found

    def describe(self) -> dict[str, Any]:
        return {"source": "exec", "command": self._command}

    def _converse(self, process: subprocess.Popen[bytes], pipes: Pipes, count: int) -> npt.NDArray[np.float64]:
        found: list[float] = []
        for line in self._output(process, pipes):
            if line is None:
                # All is said that was asked for; whoever keeps the pipe open has nothing to add.
                if len(found) == count and process.poll() == 0:
                    break
                continue
            if len(found) == count:
                raise _Failure(f"printed more than the {counted(count, 'line')} asked for")
            found.append(_parsed(line, len(found) + 1))
        self._check_end(process)
        if len(found) < count:
            raise _Failure(f"printed {counted(len(found), 'line')}, {counted(count, 'was', 'were')} asked for")
        return np.array(found, np.float64)

    def _output(self, process: subprocess.Popen[bytes], pipes: Pipes) -> Iterator[bytes | None]:
        """The lines that the command prints, to the end; None now and then while it says nothing."""
        heard = time.monotonic()
        while True:
            try:
                line = pipes.answer(_LOOK)
            except queue.Empty:
                if process.poll():
                    raise _Failure(f"ended with exit code {process.returncode}") from None
                if time.monotonic() - heard > self._timeout:
                    raise _Failure(f"said nothing for {self._timeout:g} s (--loss-timeout)") from None
                yield None
                continue
            if line is None:
                return
            heard = time.monotonic()
            yield line

    def _check_end(self, process: subprocess.Popen[bytes]) -> None:
        try:
            code = process.wait(self._timeout)
        except subprocess.TimeoutExpired as error:
            raise _Failure(f"did not end within {self._timeout:g} s of its last line") from error
        if code:
            raise _Failure(f"ended with exit code {code}")


class _Failure(Exception):
    """The command did not do what it should."""


def _lines(corpus: Corpus, rows: npt.NDArray[np.int64]) -> Iterator[bytes]:
    """The records, as JSON."""
    for batch in corpus.take(rows, None):
        for line in json_lines(batch):
            yield line + b"\n"


def _parsed(line: bytes, number: int) -> float:
    shown = line[:80].decode("utf-8", "backslashreplace").strip()
    try:
        answer: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _Failure(f"line {number} of its output is no JSON object: {shown!r}") from error
    if not isinstance(answer, dict) or "loss" not in answer:
        raise _Failure(f"line {number} of its output is no JSON object with 'loss': {shown!r}")
    try:
        return checked_loss(answer["loss"], "the loss in 'loss'", f"line {number} of its output")
    except TitheError as error:
        raise _Failure(str(error)) from error


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the command and what it started, if it still runs."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _last_words(errors: bytes) -> str:
    words = " | ".join(errors.decode("utf-8", "backslashreplace").strip().splitlines()[-5:])
    return f"; its stderr ends: {words}" if words else ""
