"""Which files a corpus consists of, in which order, and how each is to be read."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NoReturn

from tithe.embedders.reading import open_regular
from tithe.selection.corpus.formats import INPUT_FORMATS, INPUT_SUFFIXES
from tithe.selection.corpus.object_search import find
from tithe.selection.corpus.passed_over import PassedOver, no_file
from tithe.selection.errors import TitheError, UsageError
from tithe.selection.sizes import MAX_RECORD_SIZE
from tithe.selection.storage.object_store import ObjectUrl, Status, is_url, shown
from tithe.selection.storage.places import Place, failure, identity, place_of, status_of

Format = str
"""A name of INPUT_FORMATS, or of EXPORTERS."""
Compression = Literal["gzip", "zstd", "bz2"]

COMPRESSIONS: dict[str, Compression] = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}

STDIN = "-"


@dataclass(frozen=True)
class InputFile:
    """A file of the corpus, as it was when the run began."""

    path: Place
    """As the user gave it; `-` for standard input."""
    format: Format
    compression: Compression | None
    size: int
    """Bytes, compressed as they are."""
    modified: int
    """Time of modification in nanoseconds."""
    spooled: Path | None = None
    """Where its bytes can be read again, if not under `path`."""
    part: tuple[int, int] | None = None
    """What is read of it, from one to before the other: bytes of plain JSONL, at starts of lines, or row groups of
    Parquet; None: all."""
    max_record_size: int = MAX_RECORD_SIZE
    """Bytes of a record, at most."""

    @property
    def readable(self) -> Place:
        """The file to open."""
        return self.spooled or self.path

    @property
    def source(self) -> Place:
        """The file whose bytes are the input: what a hash of the input is taken of."""
        return self.readable if self.path == Path(STDIN) else self.path

    def check_unchanged(self) -> None:
        """Raise TitheError where the file is no longer what it was: the corpus is read more than once."""
        if self.spooled is not None:
            return
        try:
            now = status_of(self.path)
        except FileNotFoundError as error:
            raise TitheError(f"{self.path}: disappeared during the run ({error.strerror})") from error
        except OSError as error:
            raise TitheError(f"{self.path}: cannot be read any more ({error.strerror})") from error
        if now != Status(self.size, self.modified):
            raise self._changed()

    def unreadable(self, error: BaseException, guess: str) -> TitheError:
        """The error of a read that failed: of a file that has another size by now, or see `failure`."""
        text = str(error)
        if self.spooled is None and ("past end of file" in text or "HTTP status 416" in text):
            with suppress(OSError):
                if status_of(self.path) != Status(self.size, self.modified):
                    return self._changed()
        return failure(self.path, error, guess)

    def _changed(self) -> TitheError:
        return TitheError(f"{self.path}: changed during the run; run again when nothing writes to it")


def expand(
    given: Sequence[str], *, format: Format | None = None, notify: Callable[[str], object] = lambda line: None
) -> list[InputFile]:
    """The files that paths, URLs, globs and folders stand for, in the order given; names sorted within each.

    A folder stands for the files below it whose suffix names a format; hidden ones are passed over, and links to
    folders. `format` overrides the suffixes (but not those of compression). `-` comes back unread, with size 0.
    `notify` is told what was passed over, a line for each folder or glob.

    Raises TitheError for what does not exist or cannot be read, UsageError for suffixes that say nothing and for
    a file that is given twice: its records would count twice.
    """
    files: list[InputFile] = []
    seen: dict[tuple[str, ...], Place] = {}
    for name in given:
        passed = PassedOver(shown(name))
        for file in _files(name, format, passed):
            real = (STDIN,) if file.path == Path(STDIN) else identity(file.path)
            if real in seen:
                raise UsageError(f"{file.path}: is given twice (also as {seen[real]}); its records would count twice")
            seen[real] = file.path
            files.append(file)
        if line := passed.line():
            notify(line)
    return files


def with_spooled(file: InputFile, spooled: Path) -> InputFile:
    """The same file, to be read from a plain copy of its content."""
    return replace(file, spooled=spooled)


def _files(name: str, format: Format | None, passed: PassedOver) -> Iterator[InputFile]:
    if name == STDIN:
        format = format or "jsonl"
        if not INPUT_FORMATS[format].streams:
            raise UsageError(f"-: standard input is read as JSONL; {format.capitalize()} needs a file")
        yield InputFile(Path(STDIN), format, None, 0, 0)
        return
    place = place_of(name)
    if isinstance(place, ObjectUrl):
        yield from _objects(place, shown(name), format, passed)
    else:
        for path in _paths(place, str(place) if is_url(name) else name, format, passed):
            yield _inspect(path, format)


def _objects(url: ObjectUrl, name: str, format: Format | None, passed: PassedOver) -> Iterator[InputFile]:
    def wanted(place: ObjectUrl) -> bool:
        return format is not None or _by_suffix(place)[0] is not None

    try:
        found = [(place, *_read_as(place, format), status) for place, status in find(url, wanted, passed)]
    except OSError as error:
        raise TitheError(f"{name}: {error.strerror}") from error
    if not found and glob.has_magic(url.key):
        raise TitheError(f"{name}: no object matches")
    if not found:
        raise _holds_none(name, passed)
    for place, chosen, compression, status in found:
        yield InputFile(place, chosen, compression, status.size, status.modified)


def _holds_none(folder: str, passed: PassedOver) -> TitheError:
    wanted = " or ".join(sorted(INPUT_SUFFIXES))
    others = passed.line()
    return TitheError(
        f"{folder}: the folder holds no {wanted} files; --format reads others{f' ({others})' if others else ''}"
    )


def _paths(path: Path, name: str, format: Format | None, passed: PassedOver) -> Iterator[Path]:
    if path.is_file():
        yield path
    elif path.is_dir():
        found = sorted(_below(path, format, passed))
        if not found:
            raise _holds_none(name, passed)
        yield from found
    elif glob.has_magic(name):
        found = sorted(Path(match) for match in glob.glob(name, recursive=True))  # noqa: PTH207
        found = [match for match in found if _is_file(match, str(match), passed)]
        if not found:
            others = passed.line()
            raise TitheError(f"{name}: no file matches{f' ({others})' if others else ''}")
        yield from found
    elif os.path.lexists(path):
        raise TitheError(f"{name}: is neither a file nor a folder; a pipe can be given as -")
    else:
        raise TitheError(f"{name}: no such file")


def _below(folder: Path, format: Format | None, passed: PassedOver) -> Iterator[Path]:
    # Not rglob: it passes over folders that may not be read, and their records would be missing silently.
    for parent, folders, names in os.walk(folder, onerror=_unreadable):
        for name in sorted(folders):
            path = Path(parent, name)
            if name.startswith(".") or path.is_symlink():
                passed.add(str(path.relative_to(folder)), "a link to a folder")
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for path in (Path(parent, name) for name in sorted(names)):
            name = str(path.relative_to(folder))
            if path.name.startswith("."):
                passed.add(name)
            elif _is_file(path, name, passed):
                if format is not None or _by_suffix(path)[0] is not None:
                    yield path
                else:
                    passed.add(name)


def _is_file(path: Path, name: str, passed: PassedOver) -> bool:
    """Whether this is a file; if not, it is passed over by this name. Raises TitheError where that cannot be told."""
    try:
        what = no_file(path)
    except OSError as error:
        _unreadable(error)
    if what is not None:
        passed.add(name, what)
    return what is None


def _unreadable(error: OSError) -> NoReturn:
    raise TitheError(f"{error.filename}: cannot be read ({error.strerror})") from error


def _by_suffix(path: Place) -> tuple[Format | None, Compression | None]:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compression = COMPRESSIONS.get(suffixes[-1]) if suffixes else None
    if compression:
        suffixes.pop()
    return INPUT_SUFFIXES.get(suffixes[-1]) if suffixes else None, compression


def _read_as(path: Place, format: Format | None) -> tuple[Format, Compression | None]:
    by_suffix, compression = _by_suffix(path)
    chosen = format or by_suffix
    if chosen is None:
        raise UsageError(f"{path}: the suffix names no format ({', '.join(INPUT_SUFFIXES)}); give --format")
    return chosen, compression


def _inspect(path: Path, format: Format | None) -> InputFile:
    chosen, compression = _read_as(path, format)
    try:
        with open_regular(path):
            status = path.stat()
    except OSError as error:
        raise TitheError(f"{path}: cannot be read ({error.strerror})") from error
    return InputFile(path, chosen, compression, status.st_size, status.st_mtime_ns)
