"""A manifest, and the files beside it, on this machine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from tithe.selection.corpus.object_store import ObjectUrl
from tithe.selection.corpus.storage import Place
from tithe.selection.errors import TitheError
from tithe.selection.own_files import OwnPath
from tithe.selection.provenance.record import lies_beside, read_bytes


@contextmanager
def at_hand(manifest: Place) -> Iterator[Path]:
    """The manifest while the block runs; out of an object store it is copied, with those of its outputs that are there.

    Errors of the block name the objects. Raises TitheError where the manifest cannot be read.
    """
    if isinstance(manifest, Path):
        yield manifest
        return
    if manifest.name in ("", ".", ".."):
        raise TitheError(f"{manifest}: is no manifest of tithe select, as OUT.manifest.json is")
    with TemporaryDirectory(prefix="tithe-") as name:
        folder = Path(name)
        copy = folder / manifest.name
        try:
            _copy(manifest, copy)
            for output in _outputs(copy):
                with suppress(FileNotFoundError):
                    _copy(manifest.with_name(output), folder / output)
        except OSError as error:
            raise TitheError(f"{error.filename or manifest}: cannot be read ({error.strerror})") from error
        try:
            yield copy
        except TitheError as error:
            there = str(manifest.with_name(""))
            raise type(error)(str(error).replace(f"{folder}/", there.partition("?")[0])) from error


def _copy(url: ObjectUrl, to: Path) -> None:
    with url.open() as source:
        to.parent.mkdir(exist_ok=True)
        with OwnPath.of(to).create() as out:
            shutil.copyfileobj(source, out)


def _outputs(manifest: Path) -> list[str]:
    """Names of the files beside a manifest; none of what is no manifest."""
    try:
        names = [output["path"] for output in json.loads(read_bytes(manifest))["outputs"]]
        return [name for name in names if lies_beside(name)]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []
