"""Folders that are marked as ours: only in these is anything written or removed."""

from __future__ import annotations

from dataclasses import dataclass

from tithe.selection.storage.own_files import NotOurs, OwnPath


@dataclass(frozen=True)
class Marker:
    """A file that says whose a folder is."""

    name: str
    content: bytes
    """With a version: a folder of another one is not ours."""
    remedy: str
    """What a user can do where a folder is not ours."""

    def claim(self, folder: OwnPath) -> None:
        """Mark a folder that is empty. Raises NotOurs where it holds anything and is not marked."""
        if folder.names():
            self.check(folder)
            return
        try:
            (folder / self.name).write(self.content)
        except FileExistsError:
            self.check(folder)  # another run was as fast

    def check(self, folder: OwnPath) -> None:
        """Raise NotOurs where a folder holds anything and is not marked."""
        names = folder.names()
        # The marker comes before all else, and may be half-written where a run was killed, or has only begun.
        if names and not (self.name in names and self.content.startswith((folder / self.name).read())):
            other = next((name for name in names if name != self.name), self.name)
            raise NotOurs(f"{folder}: holds {other!r}, and was not made by this version of tithe; {self.remedy}")
