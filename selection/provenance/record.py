"""A manifest read back, and where the files that it names lie."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from tithe.embedders.reading import open_regular
from tithe.selection.corpus.object_store import is_url
from tithe.selection.errors import TitheError
from tithe.selection.manifest import SCHEMA_VERSION
from tithe.selection.provenance.seal import is_intact
from tithe.selection.whole import beside

ENDING = ".manifest.json"

STDIN = "-"


@dataclass(frozen=True)
class Record:
    """What was recorded of a selection."""

    path: Path
    """The manifest, absolute."""
    manifest: dict[str, Any]

    @property
    def subset(self) -> Path:
        """The subset, which lies beside the manifest as the other outputs do: a file, or a folder of shards."""
        return self.path.parent / Path(self.manifest["outputs"][0]["path"]).parts[0]

    @property
    def rows(self) -> Path:
        """The rows file."""
        return beside(self.subset, ".rows.parquet")

    @property
    def clusters(self) -> Path:
        """The clusters file."""
        return beside(self.subset, ".clusters.parquet")

    @property
    def options(self) -> dict[str, Any]:
        """The options as recorded."""
        return self.manifest["options"]

    def folder(self) -> Path:
        """The folder from which the relative names in the manifest are meant.

        A selection is made in some folder, which the manifest records as seen from its own: what was moved as a whole
        is found again, whatever the current folder is. Where no input is found from there, and some are from the
        current folder, that is taken instead: the outputs were moved, or copied, without the inputs. Inputs by URL are
        found from any folder.
        """
        recorded = Path(os.path.normpath(self.path.parent.resolve() / self.manifest["run"]["folder"]))
        names = [file["path"] for file in self.manifest["inputs"] if file["path"] != STDIN and not is_url(file["path"])]
        if not names:
            return recorded if recorded.is_dir() else Path.cwd()
        if any((recorded / name).exists() for name in names):
            return recorded
        here = Path.cwd()
        return here if any((here / name).exists() for name in names) else recorded

    @contextmanager
    def in_its_folder(self) -> Iterator[Path]:
        """Make `folder()` the current folder while the block runs."""
        before, folder = Path.cwd(), self.folder()
        try:
            os.chdir(folder)
        except OSError as error:
            raise TitheError(
                f"{self.path}: the folder {folder}, in which the selection was made, is not there ({error.strerror}); "
                "run this where the inputs are"
            ) from error
        try:
            yield folder
        finally:
            os.chdir(before)


class Broken(TitheError):
    """A manifest that is not as it was written."""


def read_record(path: Path) -> Record:
    """Read a manifest of `tithe select`.

    Raises Broken where it is not as it was written, and TitheError where it cannot be read or is of another version.
    """
    content = read_bytes(path)
    intact = is_intact(content)
    try:
        manifest = json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Broken(f"{path}: is no manifest, or is damaged: not JSON ({error})") from error
    version = manifest.get("schema_version") if isinstance(manifest, dict) else None
    if not intact:
        if version == 1 and "sha256" not in manifest:
            raise TitheError(f"{path}: is of an older tithe, whose manifests vouch for less; run tithe select again")
        raise Broken(f"{path}: is not as tithe select wrote it: its last field does not fit the lines before it")
    if version != SCHEMA_VERSION:
        raise TitheError(f"{path}: is of another version of tithe (schema {version}, not {SCHEMA_VERSION})")
    for output in manifest["outputs"]:
        if not lies_beside(output["path"]):
            raise TitheError(f"{path}: {output['path']!r} is no name of a file beside it")
    return Record(path.absolute(), manifest)


def read_bytes(path: Path) -> bytes:
    """The bytes of a manifest; raises TitheError where it cannot be read."""
    try:
        with open_regular(path) as file:
            return file.read()
    except OSError as error:
        raise TitheError(f"{path}: cannot be read ({error.strerror})") from error


def lies_beside(name: Any) -> bool:
    """Whether this is a file beside the manifest, or one in a folder beside it."""
    if not isinstance(name, str):
        return False
    parts = Path(name).parts
    return 1 <= len(parts) <= 2 and ".." not in parts and "/".join(parts) == name and not name.startswith("/")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")
