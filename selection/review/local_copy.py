"""A manifest, and the files beside it, on this machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from tithe.selection.errors import TitheError
from tithe.selection.review.reach import Reach
from tithe.selection.review.record import ENDING, Record, read_record
from tithe.selection.storage.atomic import beside
from tithe.selection.storage.object_store import ObjectUrl
from tithe.selection.storage.own_files import OwnPath
from tithe.selection.storage.places import Place, kind_of


def find_manifest(given: Place) -> Place:
    """The manifest that is meant: the one beside `given`, where that is a subset, or `given` itself.

    Raises TitheError where a store cannot be asked.
    """
    if given.name in ("", ".", "..") or given.name.endswith(ENDING):
        return given
    manifest = beside(given, ENDING)
    try:
        return manifest if kind_of(manifest) == "file" else given
    except OSError as error:
        raise TitheError(f"{error.filename or manifest}: cannot be read ({error.strerror})") from error


@contextmanager
def open_record(manifest: Place, reach: Reach) -> Iterator[Record]:
    """A manifest read back, while the block runs; raises what read_record raises.

    Out of an object store it is copied, with those of its outputs that are there. Errors of the block name the objects.
    """
    if isinstance(manifest, Path):
        yield read_record(manifest, reach)
        return
    if manifest.name in ("", ".", ".."):
        raise TitheError(f"{manifest}: is no manifest of tithe select, as OUT.manifest.json is")
    with TemporaryDirectory(prefix="tithe-") as name:
        folder = Path(name)
        try:
            yield _fetched(manifest, folder, reach.also(folder))
        except TitheError as error:
            there = str(manifest.with_name(""))
            raise type(error)(str(error).replace(f"{folder}{os.sep}", there.partition("?")[0])) from error


def _fetched(manifest: ObjectUrl, folder: Path, reach: Reach) -> Record:
    try:
        _copy(manifest, folder / manifest.name)
        record = read_record(folder / manifest.name, reach)
        for output in record.manifest["outputs"]:
            with suppress(FileNotFoundError):
                _copy(manifest.with_name(output["path"]), folder / output["path"])
    except OSError as error:
        raise TitheError(f"{error.filename or manifest}: cannot be read ({error.strerror})") from error
    return record


def _copy(url: ObjectUrl, to: Path) -> None:
    with url.open() as source:
        to.parent.mkdir(exist_ok=True)
        with OwnPath.of(to).create() as out:
            shutil.copyfileobj(source, out)
