"""`exec:COMMAND`: any program that reads records and writes losses."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from tithe.selection.blas import environment
from tithe.selection.corpus import Corpus
from tithe.selection.errors import TitheError
from tithe.selection.json_lines import json_lines
from tithe.selection.losses.base import checked_loss
from tithe.selection.sizes import counted

_ERROR_BYTES = 2000
_END = b""


class CommandLoss:
    """Runs a shell command: records go to its standard input, a JSON object with `loss` comes back for each, in order.

    The command is stopped, with all it started, when it says nothing for `timeout` seconds.
    """

    field: str | None = None

    def __init__(self, command: str, *, timeout: float) -> None:
        self._command = command
        self._timeout = timeout
        self.asked = 0

    def losses(self, corpus: Corpus, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """See LossSource.losses. Raises TitheError, with the end of the command's stderr, for other answers."""
        self.asked += len(rows)
        with TemporaryFile() as errors:
            process = subprocess.Popen(
                self._command,
                shell=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
                env=environment(),
            )
            try:
                return self._converse(process, corpus, rows)
            except _Failure as failure:
                raise TitheError(f"--loss exec:{self._command}: {failure}{_last_words(errors)}") from failure

    def describe(self) -> dict[str, Any]:
        """See LossSource.describe."""
        return {"source": "exec", "command": self._command}

    def _converse(
        self, process: subprocess.Popen[bytes], corpus: Corpus, rows: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float64]:
        assert process.stdin is not None and process.stdout is not None
        trouble: list[Exception] = []
        answers: queue.Queue[bytes] = queue.Queue()
        threads = [
            threading.Thread(target=_feed, args=(process.stdin, corpus, rows, trouble), daemon=True),
            threading.Thread(target=_listen, args=(process.stdout, answers), daemon=True),
        ]
        for thread in threads:
            thread.start()
        try:
            found: list[float] = []
            while (line := self._next(answers)) != _END:
                if len(found) == len(rows):
                    raise _Failure(f"printed more than the {counted(len(rows), 'line')} asked for")
                found.append(_parsed(line, len(found) + 1))
            self._check_end(process)
        finally:
            _stop(process)
            for thread in threads:
                thread.join(self._timeout)
        if trouble:
            raise trouble[0]
        if len(found) < len(rows):
            raise _Failure(f"printed {counted(len(found), 'line')}, {counted(len(rows), 'was', 'were')} asked for")
        return np.array(found, np.float64)

    def _check_end(self, process: subprocess.Popen[bytes]) -> None:
        try:
            code = process.wait(self._timeout)
        except subprocess.TimeoutExpired as error:
            raise _Failure(f"did not end within {self._timeout:g} s of its last line") from error
        if code:
            raise _Failure(f"ended with exit code {code}")

    def _next(self, answers: queue.Queue[bytes]) -> bytes:
        try:
            return answers.get(timeout=self._timeout)
        except queue.Empty as error:
            raise _Failure(f"said nothing for {self._timeout:g} s (--loss-timeout)") from error


class _Failure(Exception):
    """The command did not do what it should."""


def _feed(stdin: IO[bytes], corpus: Corpus, rows: npt.NDArray[np.int64], trouble: list[Exception]) -> None:
    try:
        with stdin:
            for batch in corpus.take(rows, None):
                for line in json_lines(batch):
                    stdin.write(line + b"\n")
    except BrokenPipeError:
        pass  # it may know the answers without reading to the end; if not, its answers will tell
    except Exception as error:
        trouble.append(error)


def _listen(stdout: IO[bytes], answers: queue.Queue[bytes]) -> None:
    with stdout:
        for line in stdout:
            answers.put(line)
    answers.put(_END)


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


def _last_words(errors: IO[bytes]) -> str:
    size = errors.seek(0, os.SEEK_END)
    errors.seek(max(0, size - _ERROR_BYTES))
    words = " | ".join(errors.read().decode("utf-8", "backslashreplace").strip().splitlines()[-5:])
    return f"; its stderr ends: {words}" if words else ""
