"""The parts of a corpus, and who works on them, before anything is known of their records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tithe.selection.engines.executor import Executor
from tithe.selection.engines.part_facts import Setup
from tithe.selection.engines.parts import Part
from tithe.selection.stages import Advance


@dataclass(frozen=True)
class Crew:
    """Parts, what they have in common, and an executor for them."""

    executor: Executor
    parts: Sequence[Part]
    setup: Setup
    shared: Any
    """What stands for the setup where the parts are."""
    bytes: int
    """Of all parts: for the progress."""

    def share_of(self, number: int) -> int:
        """Bytes of a part, about."""
        return self.bytes // len(self.parts)

    def each(self, function: Callable[..., Any], advance: Advance, *common: Any) -> list[Any]:
        """What a function finds in every part; `common` are its other arguments, and the setup the last."""
        calls = ((part, *common, self.shared) for part in self.parts)
        found = []
        for number, result in enumerate(self.executor.map(function, calls)):
            found.append(result)
            advance(self.share_of(number))
        return found
