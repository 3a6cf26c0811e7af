"""The outputs of a selection: which there are, and how they come into place together."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Literal

from tithe.selection.corpus import Compression, InputFile
from tithe.selection.errors import TitheError, UsageError
from tithe.selection.manifest import sha256, to_json
from tithe.selection.provenance.seal import sealed
from tithe.selection.whole import beside, check_target, sync, work_folder_beside

SubsetFormat = Literal["parquet", "jsonl"]

_SUFFIXES: dict[str, tuple[SubsetFormat, Compression | None]] = {
    ".parquet": ("parquet", None),
    ".jsonl": ("jsonl", None),
    ".jsonl.gz": ("jsonl", "gzip"),
    ".jsonl.zst": ("jsonl", "zstd"),
}


_SHARD = re.compile(r"part-\d{5,}\.(parquet|jsonl)")


@dataclass(frozen=True)
class Outputs:
    """The subset OUT with `OUT.rows.parquet`, `OUT.clusters.parquet` and `OUT.manifest.json`; or standard output.

    Of several fractions, each has such files of its own: OUT-0.1.parquet and so on, for OUT.parquet.
    """

    path: Path | None
    """What the user named; None for JSONL on standard output, without the others."""
    format: SubsetFormat
    compression: Compression | None
    subsets: tuple[Path, ...]
    """The largest first."""
    shards: bool = False
    """Whether the subset is a folder of several files, of the format of the inputs."""

    @classmethod
    def of(
        cls, path: Path | None, fractions: Sequence[float] = (), *, overwrite: bool, shards: bool = False
    ) -> Outputs:
        """The outputs of a run.

        Raises UsageError for a name without a known suffix, TitheError for files that exist unless `overwrite`, and for
        a folder that holds something else than shards.
        """
        if path is None:
            return cls(None, "jsonl", None, ())
        if shards:
            outputs = cls(path, "jsonl", None, (path,), shards=True)
            _check_folder(path, overwrite=overwrite)
            for target in outputs.targets()[1:]:
                check_target(target, overwrite=overwrite)
            return outputs
        suffix = next((s for s in _SUFFIXES if path.name.endswith(s) and path.name != s), None)
        if suffix is None:
            raise UsageError(f"{path}: the output's name must end in {', '.join(_SUFFIXES)}, or be -")
        subsets = (path,)
        if len(fractions) > 1:
            stem = path.name.removesuffix(suffix)
            subsets = tuple(path.with_name(f"{stem}-{part:g}{suffix}") for part in sorted(fractions, reverse=True))
        outputs = cls(path, *_SUFFIXES[suffix], subsets)
        for target in outputs.targets():
            check_target(target, overwrite=overwrite)
        return outputs

    def of_format(self, format: SubsetFormat) -> Outputs:
        """The same; shards are of this format."""
        return replace(self, format=format) if self.shards else self

    def targets(self) -> list[Path]:
        """All files: of each subset itself, the rows and clusters files, and the manifest."""
        return [target for subset in self.subsets for target in _files_of(subset)]

    def folder_of_the_run(self) -> str | None:
        """For the manifest: the current folder, as seen from that of the outputs. Relative names were meant from it."""
        return None if self.path is None else os.path.relpath(Path.cwd(), self.path.parent.resolve())

    def check_apart_from(self, inputs: Iterable[InputFile], given: Iterable[str]) -> None:
        """Raise UsageError where an output would overwrite an input, or the next run would read it as one."""
        targets = {target.resolve() for target in self.targets()}
        for file in inputs:
            if not targets.isdisjoint([file.path.resolve(), *file.path.resolve().parents]):
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
        with work_folder_beside(self.path) as folder:
            yield folder

    def publish(
        self, folder: Path, manifests: Sequence[dict[str, Any]], stdout: BinaryIO | None, *, lines: Sequence[int]
    ) -> None:
        """Move the finished files from the work folder into place; of each subset a manifest, and the number of lines.

        All of them are on disk before the first is moved. Old manifests are removed first: they must not vouch
        for files that they do not know.
        """
        if self.path is None:
            assert stdout is not None
            with staged_subset(staging(folder, 0)).open("rb") as file:
                shutil.copyfileobj(file, stdout)
            stdout.flush()
            return
        moves: list[tuple[Path, Path]] = []
        for number, subset in enumerate(self.subsets):
            moves += _finish(staging(folder, number), subset, manifests[number], lines[number])
        for source, _ in moves:
            sync(source)
        for subset in self.subsets:
            _files_of(subset)[-1].unlink(missing_ok=True)
        for source, target in moves:
            if source.is_dir() and target.is_dir():
                target.replace(folder / "replaced")  # no folder takes the place of one that holds something
            source.replace(target)
        sync(self.path.parent)

    def vouched_for(self, number: int) -> list[dict[str, Any]]:
        """Name, size and SHA-256 of the files of one subset, without the manifest, as they lie there."""
        return [
            _described(part, name)
            for file in _files_of(self.subsets[number])[:-1]
            for part, name in _parts(file, file.name)
        ]


def _described(file: Path, name: str) -> dict[str, Any]:
    return {"path": name, "size": file.stat().st_size, "sha256": sha256(file)}


def _files_of(subset: Path) -> list[Path]:
    """The subset, the rows and clusters files, and the manifest: last because it vouches for the others."""
    return [beside(subset, ending) for ending in ("", ".rows.parquet", ".clusters.parquet", ".manifest.json")]


def _finish(folder: Path, subset: Path, manifest: dict[str, Any], lines: int) -> list[tuple[Path, Path]]:
    """Write the manifest; what is to be moved where."""
    staged_manifest = folder / "manifest.json"
    sources = [staged_subset(folder), staged_rows(folder), staged_clusters(folder), staged_manifest]
    moves = list(zip(sources, _files_of(subset), strict=True))
    written: list[dict[str, Any]] = [
        _described(file, name)
        for source, target in moves
        if source != staged_manifest
        for file, name in _parts(source, target.name)
    ]
    written[0]["lines"] = lines
    # A file name that is no UTF-8 has lone surrogates in Python, and \udcxx is how JSON writes these.
    text = to_json({**manifest, "outputs": written})
    staged_manifest.write_bytes(sealed(text.encode("utf-8", "backslashreplace")))
    return moves


def _parts(source: Path, name: str) -> list[tuple[Path, str]]:
    """The files of an output, with their names beside the manifest."""
    return [(file, f"{name}/{file.name}") for file in sorted(source.iterdir())] if source.is_dir() else [(source, name)]


def _check_folder(path: Path, *, overwrite: bool) -> None:
    if not os.path.lexists(path):
        return
    if not path.is_dir():
        raise TitheError(f"{path}: is no folder; shards need one")
    if not overwrite:
        raise TitheError(f"{path}: exists already; --force overwrites it")
    for file in path.iterdir():
        if not _SHARD.fullmatch(file.name):
            raise TitheError(f"{path}: holds {file.name!r}, which is no shard; it is not overwritten")


def staging(folder: Path, number: int) -> Path:
    """Where the files of one subset are written, in a work folder."""
    found = folder / str(number)
    found.mkdir(exist_ok=True)
    return found


def staged_subset(folder: Path) -> Path:
    """Where the subset is written before it is finished."""
    return folder / "subset"


def staged_rows(folder: Path) -> Path:
    """Where the rows file is written before it is finished."""
    return folder / "rows.parquet"


def staged_clusters(folder: Path) -> Path:
    """Where the clusters file is written before it is finished."""
    return folder / "clusters.parquet"
