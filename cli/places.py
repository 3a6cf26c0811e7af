"""Types of options that name files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


class PlaceType(click.Path):
    """A file or folder: a path, or a URL of an object store."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """From what was given to a Place."""
        if not isinstance(value, str):
            return value
        if "://" not in value:
            return Path(value)
        # Late, so that --help does not wait for pyarrow.
        from tithe.selection.storage.places import place_of

        return place_of(value)


class ManifestType(PlaceType):
    """A manifest, or the subset that lies beside it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """From what was given to the Place of a manifest."""
        # Late, so that --help does not wait for pyarrow.
        from tithe.selection.review.local_copy import find_manifest

        return find_manifest(super().convert(value, param, ctx))


class LocalPath(click.Path):
    """A file or folder that an object store cannot hold."""

    def __init__(self, why: str, *, file_okay: bool = True, dir_okay: bool = True) -> None:
        super().__init__(file_okay=file_okay, dir_okay=dir_okay, path_type=Path)
        self._why = why

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """From what was given to a Path."""
        if isinstance(value, str) and "://" in value:
            self.fail(f"{value.partition('://')[0]}:// cannot stand here: {self._why}", param, ctx)
        return super().convert(value, param, ctx)


PLACE = PlaceType()

MANIFEST_FILE = ManifestType()

WORK_FOLDER = LocalPath("the work folder is mapped into memory; name a local or shared folder", file_okay=False)

LOCAL_FILE = LocalPath("name a local file", dir_okay=False)
