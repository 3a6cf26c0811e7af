"""The outputs of a selection: which there are, and how they come into place together."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from tithe.selection.corpus import Compression, InputFile
from tithe.selection.errors import UsageError
from tithe.selection.manifest import sha256, to_json
from tithe.selection.whole import beside, check_target, sync, work_folder_beside

SubsetFormat = Literal["parquet", "jsonl"]

_SUFFIXES: dict[str, tuple[SubsetFormat, Compression | None]] = {
    ".parquet": ("parquet", None),
    ".jsonl": ("jsonl", None),
    ".jsonl.gz": ("jsonl", "gzip"),
    ".jsonl.zst": ("jsonl", "zstd"),
}


@dataclass(frozen=True)
class Outputs:
    """The subset OUT with `OUT.rows.parquet`, `OUT.clusters.parquet` and `OUT.manifest.json`; or standard output."""

    path: Path | None
    """The subset; None for JSONL on standard output, without the others."""
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
            check_target(target, overwrite=overwrite)
        return outputs

    def targets(self) -> list[Path]:
        """The subset, the rows and clusters files, and the manifest: last because it vouches for the others."""
        if self.path is None:
            return []
        return [beside(self.path, ending) for ending in ("", ".rows.parquet", ".clusters.parquet", ".manifest.json")]

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
        with work_folder_beside(self.path) as folder:
            yield folder

    def publish(self, folder: Path, manifest: dict[str, Any], stdout: BinaryIO | None, *, lines: int) -> None:
        """Move the finished files from the work folder into place. `lines` is the number of those of the subset.

        All of them are on disk before the first is moved. An old manifest is removed first: it must not vouch
        for files that it does not know.
        """
        if self.path is None:
            assert stdout is not None
            with staged_subset(folder).open("rb") as file:
                shutil.copyfileobj(file, stdout)
            stdout.flush()
            return
        subset, rows, clusters, vouching = self.targets()
        staged_manifest = folder / "manifest.json"
        staged = {
            staged_subset(folder): subset,
            staged_rows(folder): rows,
            staged_clusters(folder): clusters,
            staged_manifest: vouching,
        }
        written = [
            {"path": target.name, "size": source.stat().st_size, "sha256": sha256(source)}
            for source, target in staged.items()
            if source != staged_manifest
        ]
        written[0]["lines"] = lines
        # A file name that is no UTF-8 has lone surrogates in Python, and \udcxx is how JSON writes these.
        text = to_json({**manifest, "outputs": written})
        staged_manifest.write_text(text, encoding="utf-8", errors="backslashreplace")
        for source in staged:
            sync(source)
        vouching.unlink(missing_ok=True)
        for source, target in staged.items():
            source.replace(target)
        sync(self.path.parent)


def staged_subset(folder: Path) -> Path:
    """Where the subset is written before it is finished."""
    return folder / "subset"


def staged_rows(folder: Path) -> Path:
    """Where the rows file is written before it is finished."""
    return folder / "rows.parquet"


def staged_clusters(folder: Path) -> Path:
    """Where the clusters file is written before it is finished."""
    return folder / "clusters.parquet"
