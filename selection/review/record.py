"""A manifest read back, and where the files that it names lie.

A manifest may be a stranger's: all that it holds is checked here, once. What has a Record needs no other check.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from tithe.embedders.reading import open_regular
from tithe.selection.errors import TitheError, printable
from tithe.selection.review.consistency import contradiction
from tithe.selection.review.manifest_schema import manifest_schema
from tithe.selection.review.reach import Reach
from tithe.selection.review.schema import first_fault
from tithe.selection.storage.atomic import beside
from tithe.selection.storage.object_store import is_url
from tithe.selection.subset.checksum import is_intact
from tithe.selection.subset.exporters.registry import SUFFIXES
from tithe.selection.subset.manifest import SCHEMA_VERSION

ENDING = ".manifest.json"

STDIN = "-"

# Characters of what a message repeats of a manifest.
_SAID = 300

# Objects in objects; what is free to be anything is the identity of the user's own encoder.
_DEEPEST = 64


@dataclass(frozen=True)
class Record:
    """What was recorded of a selection."""

    path: Path
    """The manifest, absolute."""
    manifest: dict[str, Any]
    reach: Reach
    """What of all that it names may be read."""

    @property
    def subset(self) -> Path:
        """The subset, which lies beside the manifest as the other outputs do: a file, or a folder of shards."""
        return self.path.parent / Path(self.manifest["outputs"][0]["path"]).parts[0]

    @property
    def format(self) -> str:
        """The format of the subset, or of its shards: a name of EXPORTERS."""
        name = self.manifest["outputs"][0]["path"]
        return next(format for suffix, format in SUFFIXES.items() if name.endswith(suffix))

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

    @property
    def max_record_size(self) -> int:
        """Bytes of a record of the subset, at most: more than of one of the corpus, since it got a weight, and JSON may
        write it at greater length than Parquet does."""
        return 8 * self.options["max_record_size"] + (1 << 20)

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
        if _any_there(recorded, names):
            return recorded
        here = Path.cwd()
        return here if _any_there(here, names) else recorded

    @contextmanager
    def in_its_folder(self) -> Iterator[Path]:
        """Make `folder()` the current folder while the block runs."""
        before, folder = Path.cwd(), self.folder()
        try:
            os.chdir(folder)
        except OSError as error:
            raise TitheError(
                f"{self.path}: names are meant from {printable(str(folder))}, which cannot be entered "
                f"({error.strerror}); run this where the inputs are"
            ) from error
        try:
            yield folder
        finally:
            os.chdir(before)


class Broken(TitheError):
    """A manifest that is not as it was written."""


def read_record(path: Path, reach: Reach) -> Record:
    """Read a manifest of `tithe select`, of which no more is to be read than what lies within `reach`.

    Raises Broken where it is not as it was written, and TitheError where it cannot be read, is of another version, or
    was written by somebody else.
    """
    content = read_bytes(path)
    intact = is_intact(content)
    try:
        manifest = json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        if not path.name.endswith(ENDING):
            raise _no_manifest(path) from error
        raise Broken(f"{path}: is no manifest, or is damaged: not JSON ({error})") from error
    version = manifest.get("schema_version") if isinstance(manifest, dict) else None
    if version is None and not path.name.endswith(ENDING):
        raise _no_manifest(path)
    if not intact:
        if version == 1 and "sha256" not in manifest:
            raise TitheError(f"{path}: is of an older tithe, whose manifests vouch for less; run tithe select again")
        raise Broken(f"{path}: is not as tithe select wrote it: its last field does not fit the lines before it")
    if version != SCHEMA_VERSION:
        raise TitheError(
            f"{path}: is of another version of tithe (schema {printable(str(version))[:40]}, not {SCHEMA_VERSION})"
        )
    wrong = _fault(manifest)
    if wrong is not None:
        said = printable(wrong[:_SAID])
        raise TitheError(f"{path}: is not what tithe select writes, or of another version: {said}")
    return Record(path.absolute(), manifest, reach)


def read_bytes(path: Path) -> bytes:
    """The bytes of a manifest; raises TitheError where it cannot be read."""
    try:
        with open_regular(path) as file:
            return file.read()
    except OSError as error:
        raise TitheError(f"{path}: cannot be read ({error.strerror})") from error


def _fault(manifest: dict[str, Any]) -> str | None:
    """What is wrong with a manifest; None: nothing."""
    if _is_deep(manifest):
        return f"it holds something that is deeper than {_DEEPEST} objects in objects"
    wrong = first_fault(manifest, manifest_schema())
    if wrong is not None:
        return wrong
    for output in manifest["outputs"]:
        if not _lies_beside(output["path"]):
            return f"{output['path']!r} is no name of a file beside it"
    return contradiction(manifest)


def _lies_beside(name: str) -> bool:
    """Whether this is a file beside the manifest, or one in a folder beside it."""
    parts = Path(name).parts
    return 1 <= len(parts) <= 2 and ".." not in parts and "/".join(parts) == name


def _is_deep(document: Any) -> bool:
    level = [document]
    for _ in range(_DEEPEST):
        below = [
            value.values() if isinstance(value, dict) else value for value in level if isinstance(value, dict | list)
        ]
        level = [value for values in below for value in values]
        if not level:
            return False
    return True


def _any_there(folder: Path, names: list[str]) -> bool:
    # Of os.path: that of Path raises where a folder may not be entered.
    return any(os.path.exists(folder / name) for name in names)  # noqa: PTH110


def _no_manifest(path: Path) -> TitheError:
    return TitheError(f"{path}: is no manifest of tithe select, and {path.name}{ENDING} does not lie beside it")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")
