"""Outputs appear whole or not at all.

Everything a run writes goes into one hidden folder beside the output, `.NAME.tithe`: on the same file system, so that
the finished files can be renamed into place. The folder is locked while the run lives, so that two runs cannot write
one output, and what a killed run left behind is swept away by the next.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from tithe.selection.corpus import Compression, InputFile
from tithe.selection.errors import TitheError, UsageError
from tithe.selection.manifest import sha256, to_json

SubsetFormat = Literal["parquet", "jsonl"]

_SUFFIXES: dict[str, tuple[SubsetFormat, Compression | None]] = {
    ".parquet": ("parquet", None),
    ".jsonl": ("jsonl", None),
    ".jsonl.gz": ("jsonl", "gzip"),
    ".jsonl.zst": ("jsonl", "zstd"),
}


@dataclass(frozen=True)
class Outputs:
    """The subset OUT, its rows file `OUT.rows.parquet` and its manifest `OUT.manifest.json`; or standard output."""

    path: Path | None
    """The subset; None for JSONL on standard output, without the other two."""
    format: SubsetFormat
    compression: Compression | None

    @classmethod
    def of(cls, path: Path | None, *, overwrite: bool) -> Outputs:
        """The outputs of a run.

        Raises UsageError for a name without a known suffix, TitheError for files that exist unless `overwrite`.
        """
        if path is None:
            return cls(None, "jsonl", None)
        suffix = next((s for s in _SUFFIXES if path.name.endswith(s) and path.name != s), None)
        if suffix is None:
            raise UsageError(f"{path}: the output's name must end in {', '.join(_SUFFIXES)}, or be -")
        outputs = cls(path, *_SUFFIXES[suffix])
        for target in outputs.targets():
            if target.is_dir():
                raise TitheError(f"{target}: is a folder; the output must be a file")
            if not overwrite and os.path.lexists(target):
                raise TitheError(f"{target}: exists already; --force overwrites it")
        return outputs

    def targets(self) -> list[Path]:
        """The subset, the rows file and the manifest, which is last because it vouches for the others."""
        if self.path is None:
            return []
        return [self.path, _beside(self.path, ".rows.parquet"), _beside(self.path, ".manifest.json")]

    def check_apart_from(self, inputs: Iterable[InputFile], given: Iterable[str]) -> None:
        """Raise UsageError where an output would overwrite an input, or the next run would read it as one."""
        targets = {target.resolve() for target in self.targets()}
        for file in inputs:
            if file.path.resolve() in targets:
                raise UsageError(f"{file.path}: is an input and an output; choose another name for the output")
        for name in given:
            if name != "-" and (folder := Path(name)).is_dir():
                for target in targets:
                    if target.is_relative_to(folder.resolve()):
                        raise UsageError(
                            f"{self.path}: lies in the input folder {name}, which would include it next time"
                        )

    @contextmanager
    def work_folder(self) -> Iterator[Path]:
        """A folder for all that is unfinished, removed at the end whatever happens.

        Beside the output; among the system's temporary files where that is standard output. Raises TitheError
        where the folder cannot be made or another run is using it.
        """
        if self.path is None:
            with tempfile.TemporaryDirectory(prefix="tithe-") as name:
                yield Path(name)
            return
        folder = _beside(self.path.with_name(f".{self.path.name}"), ".tithe")
        try:
            folder.mkdir(exist_ok=True)
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as error:
            raise TitheError(f"{self.path}: cannot write into its folder ({error.strerror})") from error
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise TitheError(f"{self.path}: another run of tithe is writing it") from error
            try:
                _empty(folder)
                yield folder
            except BrokenPipeError:
                raise
            except OSError as error:
                if error.filename is not None:
                    raise
                reason = error.strerror or str(error)
                raise TitheError(f"{self.path}: cannot be written ({reason}); nothing was changed") from error
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)

    def publish(self, folder: Path, manifest: dict[str, Any], stdout: BinaryIO | None) -> None:
        """Move the finished files from the work folder into place.

        All of them are on disk before the first is moved. An old manifest is removed first: it must not vouch
        for files that it does not know.
        """
        if self.path is None:
            assert stdout is not None
            with staged_subset(folder).open("rb") as file:
                shutil.copyfileobj(file, stdout)
            stdout.flush()
            return
        subset, rows, vouching = self.targets()
        staged_manifest = folder / "manifest.json"
        staged = {staged_subset(folder): subset, staged_rows(folder): rows, staged_manifest: vouching}
        written = [
            {"path": target.name, "size": source.stat().st_size, "sha256": sha256(source)}
            for source, target in staged.items()
            if source != staged_manifest
        ]
        # A file name that is no UTF-8 has lone surrogates in Python, and \udcxx is how JSON writes these.
        text = to_json({**manifest, "outputs": written})
        staged_manifest.write_text(text, encoding="utf-8", errors="backslashreplace")
        for source in staged:
            _sync(source)
        vouching.unlink(missing_ok=True)
        for source, target in staged.items():
            source.replace(target)
        _sync(self.path.parent)


def staged_subset(folder: Path) -> Path:
    """Where the subset is written before it is finished."""
    return folder / "subset"


def staged_rows(folder: Path) -> Path:
    """Where the rows file is written before it is finished."""
    return folder / "rows.parquet"


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _sync(path: Path) -> None:
    """Wait until a file or folder is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
