"""Which objects of a store a URL stands for: as folders and globs stand for local files."""

from __future__ import annotations

import fnmatch
import glob
from collections.abc import Callable, Iterable, Iterator

from pyarrow import fs

from tithe.selection.corpus.passed_over import PassedOver, is_hidden
from tithe.selection.storage.object_store import ObjectUrl, Status, status_of_info


def find(url: ObjectUrl, wanted: Callable[[ObjectUrl], bool], passed: PassedOver) -> Iterable[tuple[ObjectUrl, Status]]:
    """The objects that a URL stands for: one; those below a folder that are wanted, hidden ones and others passed over;
    or those that fit a glob. In the order that local files would have.

    Raises OSError where the store cannot be reached or refuses or an object cannot be read by its name,
    FileNotFoundError where nothing is there.
    """
    info = url.info()
    if info.type == fs.FileType.File:
        return [(url, status_of_info(info))]
    if info.type == fs.FileType.Directory:
        found = []
        for object_, info in sorted(_files(url.children(deep=True)), key=_in_order):
            name = object_.key[len(url.key) :].strip("/")
            if is_hidden(name) or not wanted(object_):
                passed.add(name)
            else:
                found.append((object_, info))
    elif glob.has_magic(url.key):
        url.check_bucket()
        matches = {object_: info for object_, info in _matching(url.with_key(""), url.key.split("/"))}
        for object_, info in sorted(matches.items(), key=_in_order):
            if info.type == fs.FileType.Directory:
                passed.add(object_.key, "a folder")
        found = sorted(_files(matches.items()), key=_in_order)
    else:
        url.check_bucket()
        raise url.missing()
    for object_, _ in found:
        object_.check_name()
    return [(object_, status_of_info(info)) for object_, info in found]


def _files(found: Iterable[tuple[ObjectUrl, fs.FileInfo]]) -> Iterator[tuple[ObjectUrl, fs.FileInfo]]:
    return ((object_, info) for object_, info in found if info.type == fs.FileType.File)


def _in_order(found: tuple[ObjectUrl, fs.FileInfo]) -> list[str]:
    return found[0].key.split("/")


def _matching(folder: ObjectUrl, parts: list[str]) -> Iterator[tuple[ObjectUrl, fs.FileInfo]]:
    """What fits the parts of a glob in a folder, as Python's own glob has it: no hidden names, `**` goes deep."""
    part, rest = parts[0], parts[1:]
    if not glob.has_magic(part):
        below = folder.with_key(f"{folder.key}/{part}".lstrip("/"))
        if rest:
            yield from _matching(below, rest)
        else:
            yield below, below.info()
        return
    if part == "**" and rest:
        yield from _matching(folder, rest)
    for child, info in folder.children(deep=False):
        if child.name.startswith(".") and not part.startswith("."):
            continue
        is_folder = info.type == fs.FileType.Directory
        if part == "**":
            if is_folder:
                yield from _matching(child, parts)
            elif not rest:
                yield child, info
        elif fnmatch.fnmatchcase(child.name, part):
            if not rest:
                yield child, info
            elif is_folder:
                yield from _matching(child, rest)
