"""What runs functions for the partitions of a corpus: here, in this process; in `ray_cluster`, on many machines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from tithe.selection.engine.stages import Advance

PARTITION_BYTES = 16 << 20
"""Bytes of a partition, about. The same for all executors, so that each finds in the work folder what another has made;
and so few that a small corpus gives work to several machines."""


def nothing(count: int) -> None:
    """An Advance that tells nobody."""


class Executor(Protocol):
    """Runs functions and hands back what they return.

    The first argument of each call is what it is about: its `str` names the file in an error message. `advance` is a
    keyword argument of each function: it is told of the records as the work goes on, or once for each call what
    `worth` says of its result.
    """

    partition_bytes: int
    """Bytes of a partition, about."""
    remote: bool
    """Whether functions run elsewhere, several at once: then they share nothing with this process but files."""

    def share(self, value: Any) -> Any:
        """What stands for a value that many calls are given."""
        ...

    def map(
        self,
        function: Callable[..., Any],
        calls: Iterable[tuple[Any, ...]],
        advance: Advance = nothing,
        worth: Callable[[Any], int] = lambda result: 0,
    ) -> Iterator[Any]:
        """Results of many calls, in order; a slow consumer holds them back. Raises TitheError as the function does,
        and where a call fails for good."""
        ...

    def with_workers(
        self,
        tool: Any,
        function: Callable[..., Any],
        calls: Iterable[tuple[Any, ...]],
        advance: Advance = nothing,
        worth: Callable[[Any], int] = lambda result: 0,
    ) -> Iterator[tuple[int, Any]]:
        """Results of many calls with their numbers, in any order, by workers that each keep a copy of a shared value:
        a model, say, that is loaded once. The calls are given it after what they are about."""
        ...


class InProcess:
    """In this process, one call after the other."""

    remote = False

    def __init__(self, partition_bytes: int | None = None) -> None:
        self.partition_bytes = partition_bytes or PARTITION_BYTES

    def share(self, value: Any) -> Any:
        return value

    def map(
        self,
        function: Callable[..., Any],
        calls: Iterable[tuple[Any, ...]],
        advance: Advance = nothing,
        worth: Callable[[Any], int] = lambda result: 0,
    ) -> Iterator[Any]:
        return (function(*arguments, advance=advance) for arguments in calls)

    def with_workers(
        self,
        tool: Any,
        function: Callable[..., Any],
        calls: Iterable[tuple[Any, ...]],
        advance: Advance = nothing,
        worth: Callable[[Any], int] = lambda result: 0,
    ) -> Iterator[tuple[int, Any]]:
        given = ((about, tool, *others) for about, *others in calls)
        return enumerate(self.map(function, given, advance, worth))
