"""The protocol of what runs functions for the parts of a corpus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol


class Executor(Protocol):
    """Runs functions in other processes, or machines, and hands back what they return.

    The first argument of each call is what it is about: its `str` names the file in an error message.
    """

    def share(self, value: Any) -> Any:
        """What stands for a value that many calls are given."""
        ...

    def start(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Begin a call; what stands for its result."""
        ...

    def result(self, started: Any) -> Any:
        """Wait for a call. Raises TitheError as the function does, and where the call fails for good."""
        ...

    def map(self, function: Callable[..., Any], calls: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
        """Results of many calls, in order; a slow consumer holds them back."""
        ...

    def with_workers(
        self, tool: Any, function: Callable[..., Any], calls: Iterable[tuple[Any, ...]]
    ) -> Iterator[tuple[int, Any]]:
        """Results of many calls with their numbers, in any order, by workers that each keep a copy of a shared value:
        a model, say, that is loaded once. The calls are given it after what they are about."""
        ...


class Serial:
    """In this process, one after the other."""

    def share(self, value: Any) -> Any:
        """See Executor."""
        return value

    def start(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """See Executor."""
        return function(*arguments)

    def result(self, started: Any) -> Any:
        """See Executor."""
        return started

    def map(self, function: Callable[..., Any], calls: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
        """See Executor."""
        return (function(*arguments) for arguments in calls)

    def with_workers(
        self, tool: Any, function: Callable[..., Any], calls: Iterable[tuple[Any, ...]]
    ) -> Iterator[tuple[int, Any]]:
        """See Executor."""
        for number, (about, *others) in enumerate(calls):
            yield number, function(about, tool, *others)
