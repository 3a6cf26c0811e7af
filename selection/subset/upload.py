"""Finished files into an object store: all of them, or none.

A store cannot rename. So each object appears whole under its own name, and the manifest last: whoever sees it sees all
that it vouches for. What an upload that fails has brought there is removed again. Where older outputs were to be
overwritten, the manifest of these is removed first, and they are gone when the upload fails. (pyarrow then leaves an
empty object `folder/`, so that the folder does not vanish with what was removed.)
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from tithe.selection.errors import TitheError
from tithe.selection.storage.object_store import PART, ObjectUrl
from tithe.selection.storage.own_files import OwnPath
from tithe.selection.storage.places import files_in, kind_of
from tithe.selection.subset.shard_names import is_shard


@dataclass(frozen=True)
class _Brought:
    """An object that was written, or begun."""

    url: ObjectUrl
    in_parts: bool


def upload(files: Sequence[tuple[OwnPath, ObjectUrl]], manifests: Sequence[tuple[OwnPath, ObjectUrl]]) -> None:
    """Upload files, and folders of shards; then manifests. Older shards in these folders are removed.

    Raises TitheError where the store refuses or is lost.
    """
    brought: list[_Brought] = []
    new_folders: list[ObjectUrl] = []
    target = manifests[0][1]
    try:
        new_folders = _missing_folders([*files, *manifests])
        for _, target in manifests:
            target.delete()
        for source, target in files:
            if source.is_folder():
                _bring_folder(source, target, brought)
            else:
                _bring(source, target, brought)
        for source, target in manifests:
            _bring(source, target, brought)
    except BaseException as error:
        left = _removed(brought, new_folders)
        if not isinstance(error, OSError):
            raise
        what = f"could not be removed again: {left[0]} and {len(left) - 1} more" if left else "nothing is left there"
        if brought and brought[-1].in_parts:
            what += "; a rule of the bucket (AbortIncompleteMultipartUpload) removes what the store keeps of its parts"
        raise TitheError(f"{target}: cannot be written ({error.strerror or error}); {what}") from error


def _bring_folder(source: OwnPath, target: ObjectUrl, brought: list[_Brought]) -> None:
    older = files_in(target) if kind_of(target) == "folder" else []
    new = [target.with_key(f"{target.key}/{name}") for name in source.names()]
    for url in new:
        _bring(source / url.name, url, brought)
    for url in older:
        if isinstance(url, ObjectUrl) and url not in new and is_shard(url.name):
            url.delete()


def _bring(source: OwnPath, target: ObjectUrl, brought: list[_Brought]) -> None:
    with source.open() as file:
        brought.append(_Brought(target, target.scheme == "s3" and os.fstat(file.fileno()).st_size > PART))
        target.write(file)


def _missing_folders(files: Sequence[tuple[OwnPath, ObjectUrl]]) -> list[ObjectUrl]:
    """The folders above objects that are not there, the innermost first."""
    above: set[ObjectUrl] = set()
    for source, target in files:
        parts = target.key.split("/")[: None if source.is_folder() else -1]
        above |= {target.with_key("/".join(parts[:end])) for end in range(1, len(parts) + 1)}
    return [folder for folder in sorted(above, key=lambda url: -len(url.key)) if kind_of(folder) is None]


def _removed(brought: Sequence[_Brought], new_folders: Sequence[ObjectUrl]) -> list[ObjectUrl]:
    """Remove objects, and folders that came with them; the objects that could not be removed."""
    left = [object_.url for object_ in brought]
    try:
        while left:
            left[-1].delete()
            left.pop()
        for folder in new_folders:
            folder.delete_empty_folder()
    except OSError:
        pass
    return left
