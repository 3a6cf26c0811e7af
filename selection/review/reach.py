"""What may be read for a manifest, which may be a stranger's: what lies in its folder, and what the user names.

Without that, a manifest could have any file of the user's read, and requests signed with the user's credentials sent
to whatever machine it names.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tithe.selection.errors import printable
from tithe.selection.storage.object_store import ObjectUrl
from tithe.selection.storage.places import Place, place_of

OPTION = "--allow-read"

# Names that a refusal repeats one by one; of more, the folders.
_NAMED = 3

Root = tuple[Any, ...]


@dataclass(frozen=True)
class HubModel:
    """A model that is no folder here."""

    name: str

    def __str__(self) -> str:
        return self.name


Named = Place | HubModel
"""What a manifest may name."""


@dataclass(frozen=True)
class Reach:
    """Folders, files and stores below which all may be read, and models that may be loaded from the hub."""

    home: Path
    """The user's folder, from which the remedy that a refusal names is meant."""
    roots: frozenset[Root]

    @classmethod
    def of(cls, manifest: Place, allowed: Sequence[str] = ()) -> Reach:
        """The folder of the manifest that the user named, and `allowed`: files, folders, URLs and models.

        Raises UsageError for what is no URL.
        """
        folder = manifest.absolute().parent if isinstance(manifest, Path) else manifest.with_name("")
        named = [folder, *map(place_of, allowed), *map(HubModel, allowed)]
        return cls(Path.cwd(), frozenset(map(_root, named)))

    def also(self, place: Place) -> Reach:
        """The same, and a place."""
        return replace(self, roots=self.roots | {_root(place)})

    def covers(self, named: Named) -> bool:
        """Whether it may be read. Links count for what they lead to."""
        return _below(_root(named), self.roots)

    def beyond(self, named: Iterable[Named]) -> list[Named]:
        """What may not be read, without what lies in a folder that is there already."""
        roots, found = set(self.roots), []
        for one in named:
            root = _root(one)
            if not _below(root, roots):
                found.append(one)
                roots.add(root)
        return found

    def refusal(self, found: Sequence[Named]) -> str:
        """Why these are not read, and what to do, in one line."""
        kept = found if len(found) <= _NAMED else [*map(_folder, found)]
        names, remedies = ", ".join(dict.fromkeys(map(self._shown, kept))), dict.fromkeys(map(self._real, kept))
        return printable(
            f"{names}: outside the manifest's folder, where nothing is read on its word alone; "
            f"if you trust it there, add {' '.join(f'{OPTION} {shlex.quote(name)}' for name in remedies)}"
        )

    def _shown(self, named: Named) -> str:
        # Of os.path: that of Path raises where a folder may not be entered.
        if isinstance(named, Path) and os.path.islink(named):  # noqa: PTH114
            return f"{self._from_home(str(named.absolute()))} (a link to {self._real(named)})"
        return self._real(named)

    def _real(self, named: Named) -> str:
        return self._from_home(os.path.realpath(named)) if isinstance(named, Path) else str(named)

    def _from_home(self, path: str) -> str:
        home = os.path.realpath(self.home)
        return os.path.relpath(path, home) if os.path.commonpath([path, home]) == home else path


def model(name: str) -> Named:
    """What the name of a model means: a folder here, or one of the hub."""
    return Path(name) if os.path.lexists(name) else HubModel(name)


def _folder(named: Named) -> Named:
    if isinstance(named, HubModel):
        return named
    return Path(os.path.realpath(named)).parent if isinstance(named, Path) else named.with_name("")


def _below(wanted: Root, roots: Collection[Root]) -> bool:
    return ".." not in wanted and any(wanted[:end] in roots for end in range(1, len(wanted) + 1))


def _root(named: Named) -> Root:
    """As a path from a root: of this machine, of a store that is asked in a certain way, or of the hub."""
    if isinstance(named, ObjectUrl):
        return (named.store, *(part for part in named.key.split("/") if part))
    return (named,) if isinstance(named, HubModel) else Path(os.path.realpath(named)).parts
