"""Finished files into an object store: all of them, or none.

A store cannot rename. So each object appears whole under its own name, and the manifest last: whoever sees it sees all
that it vouches for. What an upload that fails has brought there is removed again. Where older outputs were to be
overwritten, the manifest of these is removed first, and they are gone when the upload fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tithe.selection.corpus.object_store import ObjectUrl
from tithe.selection.corpus.storage import files_in, kind_of
from tithe.selection.errors import TitheError


def upload(files: Sequence[tuple[Path, ObjectUrl]], manifests: Sequence[tuple[Path, ObjectUrl]]) -> None:
    """Upload files, and folders of files; then manifests. Older objects in these folders are removed.

    Raises TitheError where the store refuses or is lost.
    """
    brought: list[ObjectUrl] = []
    target = manifests[0][1]
    try:
        for _, target in manifests:
            target.delete()
        for source, target in files:
            for part in _parts(source, target):
                _bring(*part, brought)
        for source, target in manifests:
            _bring(source, target, brought)
    except BaseException as error:
        left = _removed(brought)
        if not isinstance(error, OSError):
            raise
        what = f"could not be removed again: {left[0]} and {len(left) - 1} more" if left else "nothing is left there"
        raise TitheError(f"{target}: cannot be written ({error.strerror or error}); {what}") from error


def _parts(source: Path, target: ObjectUrl) -> list[tuple[Path, ObjectUrl]]:
    """What is to be brought where, once the folder holds nothing else."""
    if not source.is_dir():
        return [(source, target)]
    parts = [(file, target.with_key(f"{target.key}/{file.name}")) for file in sorted(source.iterdir())]
    new = {url for _, url in parts}
    if kind_of(target) == "folder":
        for url in files_in(target):
            if url not in new and isinstance(url, ObjectUrl):
                url.delete()
    return parts


def _bring(source: Path, target: ObjectUrl, brought: list[ObjectUrl]) -> None:
    brought.append(target)
    with source.open("rb") as file:
        target.write(file)


def _removed(brought: Sequence[ObjectUrl]) -> list[ObjectUrl]:
    """Remove objects; those that could not be."""
    left = list(brought)
    try:
        while left:
            left[-1].delete()
            left.pop()
        for folder in {url.with_name("") for url in brought}:
            folder.with_key(folder.key.rstrip("/")).delete_empty_folder()
    except OSError:
        pass
    return left
