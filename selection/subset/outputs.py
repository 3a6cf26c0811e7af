"""The outputs of a selection: which there are, and how they come into place together."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from tithe.selection.corpus.inputs import COMPRESSIONS, Compression, InputFile
from tithe.selection.embedding.work_folder import open_kept
from tithe.selection.engine.hashes import sha256
from tithe.selection.errors import TitheError, UsageError
from tithe.selection.storage.atomic import beside, check_target, work_folder_beside
from tithe.selection.storage.object_store import ObjectUrl, shown
from tithe.selection.storage.own_files import OwnPath
from tithe.selection.storage.places import Place, files_in, identity, kind_of, place_of, status_of
from tithe.selection.subset.checksum import with_checksum
from tithe.selection.subset.exporters.registry import SUFFIXES
from tithe.selection.subset.manifest import to_json
from tithe.selection.subset.shard_names import is_shard
from tithe.selection.subset.upload import upload

# Of the subset, the rows and clusters files and the manifest.
_ENDINGS = ("", ".rows.parquet", ".clusters.parquet", ".manifest.json")


@dataclass(frozen=True)
class Outputs:
    """The subset OUT with `OUT.rows.parquet`, `OUT.clusters.parquet` and `OUT.manifest.json`; or standard output.

    Of several fractions, each has such files of its own: OUT-0.1.parquet and so on, for OUT.parquet.
    """

    path: Place | None
    """What the user named; None for JSONL on standard output, without the others."""
    format: str
    """Of the subset, a name of EXPORTERS."""
    compression: Compression | None
    subsets: tuple[Place, ...]
    """The largest first."""
    shards: bool = False
    """Whether the subset is a folder of several files, of the format of the inputs."""
    overwrite: bool = False
    """Whether files that are there already may be replaced."""

    @classmethod
    def of(
        cls, path: Place | None, fractions: Sequence[float] = (), *, overwrite: bool, shards: bool = False
    ) -> Outputs:
        """The outputs of a run.

        Raises UsageError for a name without a known suffix, TitheError for files that exist unless `overwrite`, for a
        folder that holds something else than shards, and where a store cannot be asked.
        """
        outputs = replace(cls.named(path, fractions, shards=shards), overwrite=overwrite)
        outputs._check_targets()
        return outputs

    @classmethod
    def named(cls, path: Place | None, fractions: Sequence[float] = (), *, shards: bool = False) -> Outputs:
        """The same, whatever is there already. Raises UsageError for a name without a known suffix."""
        if path is None:
            return cls(None, "jsonl", None, ())
        if shards:
            return cls(path, "jsonl", None, (path,), shards=True)
        suffix = next((s for s in SUFFIXES if path.name.endswith(s) and path.name != s), None)
        if suffix is None:
            raise UsageError(f"{path}: the output's name must end in {', '.join(SUFFIXES)}, or be -")
        subsets: tuple[Place, ...] = (path,)
        if len(fractions) > 1:
            stem = path.name.removesuffix(suffix)
            subsets = tuple(path.with_name(f"{stem}-{part:g}{suffix}") for part in sorted(fractions, reverse=True))
        return cls(path, SUFFIXES[suffix], COMPRESSIONS.get(Path(suffix).suffix), subsets)

    def of_format(self, format: str) -> Outputs:
        """The same; shards are of this format."""
        return replace(self, format=format) if self.shards else self

    def targets(self) -> list[Place]:
        """All files: of each subset itself, the rows and clusters files, and the manifest."""
        return [target for subset in self.subsets for target in _files_of(subset)]

    def _check_targets(self) -> None:
        try:
            if isinstance(self.path, ObjectUrl):
                self.path.check_bucket()
            for target in self.targets():
                if self.shards and target == self.path:
                    _check_folder(target, overwrite=self.overwrite)
                else:
                    check_target(target, overwrite=self.overwrite)
        except OSError as error:
            raise TitheError(f"{error.filename or self.path}: {error.strerror}") from error

    def folder_of_the_run(self) -> str | None:
        """For the manifest: the current folder, as seen from that of the outputs. Relative names were meant from it."""
        if isinstance(self.path, ObjectUrl):
            return str(Path.cwd())  # nothing is seen from a store
        return None if self.path is None else os.path.relpath(Path.cwd(), self.path.parent.resolve())

    @contextmanager
    def work_folder(self, spare: Path | None = None) -> Iterator[OwnPath]:
        """A folder for all that is unfinished, removed at the end whatever happens.

        Beside the output. Where that is in a store, in the work folder `spare`, which other machines may share; without
        one, and for standard output, among the system's temporary files. Raises TitheError where the folder cannot be
        made or another run is using it.
        """
        if isinstance(self.path, Path):
            with work_folder_beside(OwnPath.of(self.path)) as folder:
                yield folder
        elif isinstance(self.path, ObjectUrl) and spare is not None:
            with open_kept(spare) as work:
                yield work.scratch
        else:
            with tempfile.TemporaryDirectory(prefix="tithe-") as name:
                yield OwnPath(Path(name))

    def publish(
        self, folder: OwnPath, manifests: Sequence[dict[str, Any]], stdout: BinaryIO | None, *, lines: Sequence[int]
    ) -> None:
        """Move the finished files from the work folder into place; of each subset a manifest, and the number of lines.

        All of them are on disk before the first is moved. Old manifests are removed first: they must not vouch
        for files that they do not know. Into a store they are uploaded; see upload.
        """
        if self.path is None:
            assert stdout is not None
            with staged_subset(staging(folder, 0)).open() as file:
                shutil.copyfileobj(file, stdout)
            stdout.flush()
            return
        files: list[tuple[OwnPath, Any]] = []
        vouching: list[tuple[OwnPath, Any]] = []
        for number, subset in enumerate(self.subsets):
            sources = _finish(staging(folder, number), subset.name, manifests[number], lines[number])
            *others, manifest = zip(sources, _files_of(subset), strict=True)
            files += others
            vouching.append(manifest)
        self._check_targets()  # again, since the run may have taken days
        if isinstance(self.path, ObjectUrl):
            upload(files, vouching)
        else:
            _put_in_place(folder, files, vouching)

    def vouched_for(self, number: int) -> list[dict[str, Any]]:
        """Name, size and SHA-256 of the files of one subset, without the manifest, as they lie there."""
        return [
            _described(part, name)
            for file in _files_of(self.subsets[number])[:-1]
            for part, name in _parts(file, file.name)
        ]


def check_apart(outputs: Sequence[Place], inputs: Iterable[InputFile], given: Iterable[str]) -> None:
    """Raise UsageError where an output would overwrite an input, or the next run would read it as one.

    `given` are the INPUTs that stand for the files `inputs`.
    """
    targets = {identity(target) for target in outputs}
    for file in inputs:
        parts = identity(file.path)
        if not targets.isdisjoint(parts[:end] for end in range(1, len(parts) + 1)):
            raise UsageError(f"{file.path}: is an input and an output; choose another name for the output")
    for name in given:
        folder = identity(place_of(name))
        within = any(target[: len(folder)] == folder for target in targets)
        if name != "-" and within and kind_of(place_of(name)) == "folder":
            raise UsageError(f"{outputs[0]}: lies in the input folder {shown(name)}, which would include it next time")


def _put_in_place(
    folder: OwnPath, files: Sequence[tuple[OwnPath, Path]], manifests: Sequence[tuple[OwnPath, Path]]
) -> None:
    moves = [*files, *manifests]
    for source, _ in moves:
        source.sync()
    for _, target in manifests:
        OwnPath.of(target).unlink()
    for source, target in moves:
        if source.is_folder() and target.is_dir():
            OwnPath.of(target).replace(folder / "replaced")  # no folder takes the place of one that holds something
        source.replace(OwnPath.of(target))
    OwnPath.of(moves[0][1]).parent.sync()


def _described(file: Place, name: str) -> dict[str, Any]:
    return {"path": name, "size": status_of(file).size, "sha256": sha256(file)}


def _files_of(subset: Place) -> list[Place]:
    """The subset, the rows and clusters files, and the manifest: last because it vouches for the others."""
    return [beside(subset, ending) for ending in _ENDINGS]


def _finish(folder: OwnPath, name: str, manifest: dict[str, Any], lines: int) -> list[OwnPath]:
    """Write the manifest of the subset of this name; the files that `_files_of` has places for."""
    staged_manifest = folder / "manifest.json"
    sources = [staged_subset(folder), staged_rows(folder), staged_clusters(folder), staged_manifest]
    written: list[dict[str, Any]] = [
        _described(file, part)
        for source, ending in zip(sources[:-1], _ENDINGS, strict=False)
        for file, part in _parts(source.path, name + ending)
    ]
    written[0]["lines"] = lines
    # A file name that is no UTF-8 has lone surrogates in Python, and \udcxx is how JSON writes these.
    text = to_json({**manifest, "outputs": written})
    staged_manifest.write(with_checksum(text.encode("utf-8", "backslashreplace")))
    return sources


def _parts(source: Place, name: str) -> list[tuple[Place, str]]:
    """The files of an output, with their names beside the manifest."""
    if kind_of(source) == "folder":
        return [(file, f"{name}/{file.name}") for file in files_in(source)]
    return [(source, name)]


def _check_folder(path: Place, *, overwrite: bool) -> None:
    kind = kind_of(path)
    if kind == "file":
        raise TitheError(f"{path}: is no folder; shards need one")
    if kind is not None and not overwrite:
        raise TitheError(f"{path}: exists already; --force overwrites it")
    for file in files_in(path) if kind is not None else ():
        if not is_shard(file.name) or kind_of(file) == "folder":
            raise TitheError(f"{path}: holds {file.name!r}, which is no shard; it is not overwritten")


def staging(folder: OwnPath, number: int) -> OwnPath:
    """Where the files of one subset are written, in a work folder."""
    found = folder / str(number)
    found.make_all()
    return found


def staged_subset(folder: OwnPath) -> OwnPath:
    """Where the subset is written before it is finished."""
    return folder / "subset"


def staged_rows(folder: OwnPath) -> OwnPath:
    """Where the rows file is written before it is finished."""
    return folder / "rows.parquet"


def staged_clusters(folder: OwnPath) -> OwnPath:
    """Where the clusters file is written before it is finished."""
    return folder / "clusters.parquet"
