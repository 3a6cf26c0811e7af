"""Registries: names that an option can have, with words for the help; what a name stands for is imported when needed.

The command line reads names and words only, so that its help does not wait for numpy.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Kind = TypeVar("Kind")


@dataclass(frozen=True)
class Entry:
    """A line of a registry."""

    name: str
    where: str
    """The class that the name stands for, as `module:attribute`."""
    words: str = ""
    """What the help says of it; the registry says how this reads."""

    def load(self) -> Any:
        """What the name stands for."""
        module, _, attribute = self.where.partition(":")
        return getattr(importlib.import_module(module), attribute)


class Registry(Mapping[str, Kind], Generic[Kind]):
    """A mapping from names to what they stand for, in the order of the help."""

    def __init__(self, *entries: Entry) -> None:
        self._entries = {entry.name: entry for entry in entries}

    def __getitem__(self, name: str) -> Kind:
        return self._entries[name].load()

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries  # without an import

    @property
    def words(self) -> dict[str, str]:
        """What the help says of each name."""
        return {name: entry.words for name, entry in self._entries.items()}
