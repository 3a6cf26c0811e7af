"""The engine `ray`: parts of the corpus by tasks on a Ray cluster, encoders in actors.

What goes to a task is what it is about, a part of a file, and what comes back is small: records stay in their files,
and what is made of them in the work folder, which all machines share. So tasks are Ray's own (`ray.remote`), not
datasets of Ray Data, which would carry the records through the object store. Ray moves objects by pickle, between
processes of one cluster; nothing that is kept is written so.

A task that dies with its worker or its machine is done again elsewhere by Ray, and finds what was embedded in the work
folder; an actor that dies is replaced where there is room, and its part goes to the next one that is free. A machine
that joins is given work like the others. What fails with an error fails for good: the error names the file.

Ray ends this process by `_exit` where its agent on this machine or the head of the cluster has died: nothing can be
done here then, and a line is said by another process. See last_word.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from tithe.embedders.errors import EncoderError
from tithe.selection.engine import executor
from tithe.selection.engine.executor import nothing
from tithe.selection.engine.grpc_server import answers
from tithe.selection.engine.last_word import last_word
from tithe.selection.engine.stages import Advance
from tithe.selection.engine.threads import workers
from tithe.selection.errors import TitheError, UsageError, first_line
from tithe.selection.options.options import Options
from tithe.selection.sizes import counted

# How often a call is begun again whose worker died.
_RETRIES = 3

# Calls under way, for each CPU: enough that none waits for the next.
_AHEAD = 4

# How long a cluster may be without the CPU or GPU that is waited for: new machines take minutes to start.
_PATIENCE = 300.0
# How often that is looked at.
_LOOK = 5.0

_AGAIN = "run again when it is back: what was embedded is kept"
_ENDED = (
    "tithe: --engine ray: the process was ended, from outside or by Ray, which does so where its agent on this machine "
    f"or the head of the cluster has died; {_AGAIN}"
)


@contextmanager
def ray_engine(options: Options, *, debug: bool = False) -> Iterator[RayExecutor]:
    """The engine, on the cluster that RAY_ADDRESS names, or on one of its own on this machine, which ends with it.

    Raises TitheError where Ray is missing or the cluster cannot be reached, UsageError where options do not fit it.
    """
    address = os.environ.get("RAY_ADDRESS")
    if address and options.work_dir is None:
        raise UsageError("--engine ray: name a folder that all machines of the cluster share with --work-dir")
    # Nothing is sent to anybody, and no warning of what a later release will do.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
        from ray.exceptions import RayError
    except ImportError as error:
        raise TitheError("--engine ray needs an extra: pip install 'tithe[ray]'") from error
    # Ray prints what happens to workers on standard output, whatever it is told; that is for data.
    with ExitStack() as stack:
        sink = sys.stderr if debug else stack.enter_context(Path(os.devnull).open("w"))
        stack.enter_context(redirect_stdout(sink))
        if not ray.is_initialized():
            stack.enter_context(last_word(_ENDED))
            if not debug:
                stack.enter_context(_quiet_libraries())
        stack.enter_context(_connected(ray, address, debug))
        try:
            yield RayExecutor(options.num_gpus or 0.0)
        except RayError as error:
            raise TitheError(f"--engine ray: the cluster failed ({first_line(error)}); {_AGAIN}") from error


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Drop what libraries write to standard error past Python: Ray's core, whatever it is told."""
    here, kept = sys.stderr, os.dup(2)
    with os.fdopen(kept, "w", buffering=1, encoding=here.encoding, errors=here.errors) as python:
        here.flush()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        sys.stderr = python
        try:
            yield
        finally:
            sys.stderr = here
            os.dup2(kept, 2)


@contextmanager
def _connected(ray: Any, address: str | None, debug: bool) -> Iterator[None]:
    joined, stopped = ray.is_initialized(), threading.Event()
    on_stop = signal.getsignal(signal.SIGTERM)
    if not joined:
        level = logging.INFO if debug else logging.CRITICAL
        settings: dict[str, Any] = {"log_to_driver": debug, "logging_level": level, "address": address or "local"}
        # Ray itself would wait for it forever, and let nobody interrupt it.
        if address and not answers(address):
            raise TitheError(f"--engine ray: the cluster at {address} does not answer; RAY_ADDRESS names another")
        if not address:
            settings |= {"num_cpus": workers(), "include_dashboard": False}
        try:
            ray.init(**settings)
        except (ConnectionError, OSError, RuntimeError, ValueError, TimeoutError) as error:
            raise TitheError(f"--engine ray: no cluster ({first_line(error)}); RAY_ADDRESS names one") from error
        # Ray has taken the signal for itself, with an exit code of its own.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, _noting(stopped, on_stop))
    head, code = ray.get_runtime_context().gcs_address, 1
    try:
        yield
        code = 0
    except SystemExit:
        # Where the signal comes while Ray waits, Ray makes another exit of what the handler raises.
        if stopped.is_set() and callable(on_stop):
            on_stop(signal.SIGTERM, None)
        raise
    finally:
        if not joined:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, on_stop)
            _leave(ray, head, code)


def _leave(ray: Any, head: str, code: int) -> None:
    """Leave the cluster. Where its head no longer answers, Ray would wait for it forever, or crash as the process ends:
    that ends with a code as soon as all is said."""
    if answers(head):
        ray.shutdown()
    else:
        atexit.register(_end, code)


def _end(code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _noting(stopped: threading.Event, on_stop: Any) -> Any:
    """A signal handler that takes note, before it does what another does; that one, where it is none."""

    def noting(number: int, population: FrameType | None) -> None:
        stopped.set()
        on_stop(number, population)

    return noting if callable(on_stop) else on_stop


@dataclass(frozen=True)
class _Call:
    ref: Any
    about: str


class RayExecutor:
    """An Executor whose calls are spread over the machines of the cluster that this process is connected to."""

    remote = True

    def __init__(self, num_gpus: float = 0.0, partition_bytes: int | None = None) -> None:
        """`num_gpus` is what an actor holds; a part of one lets several share it."""
        import ray

        self.partition_bytes = partition_bytes or executor.PARTITION_BYTES

        self._ray: Any = ray
        self._num_gpus = num_gpus
        self._head = str(ray.get_runtime_context().gcs_address)
        self._task = ray.remote(max_retries=_RETRIES, num_cpus=1, scheduling_strategy="SPREAD")(_called)
        self._cpus = max(self._there("CPU"), 1.0)
        self._short_since: float | None = None
        if num_gpus > self._there("GPU"):
            raise UsageError(f"--num-gpus {num_gpus:g}: the cluster has {counted(int(self._there('GPU')), 'GPU')}")

    def share(self, value: Any) -> Any:
        try:
            return self._ray.put(value)
        except TypeError as error:
            raise TitheError(
                f"--engine ray: {type(value).__name__} cannot be sent to the workers ({first_line(error)})"
            ) from error

    def _start(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> _Call:
        return _Call(self._task.remote(function, *arguments), str(arguments[0]))

    def _result(self, started: _Call) -> Any:
        try:
            return self._ray.get(self._first([started.ref]))
        except self._ray.exceptions.RayError as error:
            _fail(error, started.about)

    def map(
        self,
        function: Callable[..., Any],
        calls: Iterable[tuple[Any, ...]],
        advance: Advance = nothing,
        worth: Callable[[Any], int] = lambda result: 0,
    ) -> Iterator[Any]:
        under_way: deque[_Call] = deque()

        def next_result() -> Any:
            found = self._result(under_way.popleft())
            advance(worth(found))
            return found

        for arguments in calls:
            under_way.append(self._start(function, arguments))
            if len(under_way) > _AHEAD * self._cpus:
                yield next_result()
        while under_way:
            yield next_result()

    def with_workers(
        self,
        tool: Any,
        function: Callable[..., Any],
        calls: Iterable[tuple[Any, ...]],
        advance: Advance = nothing,
        worth: Callable[[Any], int] = lambda result: 0,
    ) -> Iterator[tuple[int, Any]]:
        ray, given = self._ray, list(calls)
        waiting = deque(range(len(given)))
        died: Counter[int | None] = Counter()
        actor_class = ray.remote(num_cpus=1, num_gpus=self._num_gpus, max_restarts=0, scheduling_strategy="SPREAD")(
            _Worker
        )
        busy: dict[Any, tuple[Any, int | None]] = {}
        living: set[Any] = set()

        def dismiss(actor: Any) -> None:
            living.discard(actor)
            with suppress(Exception):
                ray.kill(actor)

        def hire() -> None:
            """As many as there is room and work for, on machines that have joined too."""
            for _ in range(min(self._room(), len(given)) - len(living) if waiting else 0):
                actor = actor_class.remote(tool)
                living.add(actor)
                busy[actor.ready.remote()] = (actor, None)

        try:
            hire()
            while waiting or any(number is not None for _, number in busy.values()):
                ref = self._first(list(busy))
                actor, number = busy.pop(ref)
                try:
                    found = ray.get(ref)
                except ray.exceptions.RayTaskError as error:
                    _fail(error, str(given[number or 0][0]))
                except ray.exceptions.RayError as error:
                    # It may live, and what it found be lost with another machine.
                    dismiss(actor)
                    died[number] += 1
                    if died[number] > _RETRIES:
                        _fail(error, str(given[number or 0][0]))
                    if number is not None:
                        waiting.appendleft(number)
                    hire()
                    continue
                if waiting:
                    following = waiting.popleft()
                    busy[actor.call.remote(function, *given[following])] = (actor, following)
                    hire()
                else:
                    dismiss(actor)
                if number is not None:
                    advance(worth(found))
                    yield number, found
        finally:
            for actor in list(living):
                dismiss(actor)

    def _there(self, resource: str) -> float:
        """How much of a resource the machines have that are there now. Raises TitheError where nobody can tell."""
        if not answers(self._head):
            raise TitheError(f"--engine ray: the head of the cluster, {self._head}, does not answer any more; {_AGAIN}")
        return float(self._ray.cluster_resources().get(resource, 0))

    def _room(self) -> int:
        """How many actors there is room for now, at least one: it waits."""
        return max(int(self._there("GPU") / self._num_gpus if self._num_gpus else self._there("CPU")), 1)

    def _first(self, refs: list[Any]) -> Any:
        """Wait for one of some results. Raises TitheError where there has been nobody to work on them for long."""
        while True:
            ready, _ = self._ray.wait(refs, num_returns=1, timeout=_LOOK)
            if ready:
                self._short_since = None
                return ready[0]
            self._check_machines()

    def _check_machines(self) -> None:
        short = "CPU" if self._there("CPU") < 1 else "GPU" if self._there("GPU") < self._num_gpus else None
        if short is None:
            self._short_since = None
            return
        if self._short_since is None:
            self._short_since = time.monotonic()
        if time.monotonic() - self._short_since > _PATIENCE:
            raise TitheError(f"--engine ray: for {_PATIENCE:g} s no machine of the cluster has had a {short}; {_AGAIN}")


class _Worker:
    def __init__(self, tool: Any) -> None:
        self._tool = tool

    def ready(self) -> None:
        """Wait until it is made."""

    def call(self, function: Callable[..., Any], about: Any, *others: Any) -> Any:
        return function(about, self._tool, *others, advance=nothing)


def _called(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments, advance=nothing)


def _fail(error: Exception, about: str) -> NoReturn:
    """Raise what a call failed with, or one line that says what it was about."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, TitheError | EncoderError):
        raise cause from error
    if isinstance(cause, Exception):
        where = f"{Path(cause.filename).name}: " if isinstance(cause, OSError) and cause.filename else ""
        raise TitheError(f"{about}: {where}{type(cause).__name__}: {first_line(cause)}") from error
    if type(error).__name__ == "LocalRayletDiedError":
        raise TitheError(f"--engine ray: Ray's agent on this machine has died; {_AGAIN}") from error
    raise TitheError(
        f"{about}: whoever worked on it died, {_RETRIES + 1} times ({type(error).__name__}); more memory, or fewer "
        "workers on a machine, may help"
    ) from error
