"""A corpus in partitions: some files, or row groups of Parquet or bytes of plain JSONL of a large one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from tithe.selection.corpus.corpus import Corpus
from tithe.selection.corpus.formats import INPUT_FORMATS
from tithe.selection.corpus.inputs import STDIN, InputFile
from tithe.selection.engine.executor import PARTITION_BYTES
from tithe.selection.storage.places import absolute

# Of a large corpus, at most about.
_PARTITIONS = 1024


@dataclass(frozen=True)
class Partition:
    """Some records of a corpus, one after the other."""

    number: int
    """Among the partitions of the corpus."""
    first_file: int
    """The number of its first file, among those of the corpus."""
    files: tuple[InputFile, ...]
    """Several whole ones, or one, of which `part` may say what is read."""

    def __str__(self) -> str:
        first = self.files[0]
        if first.part is not None:
            unit = INPUT_FORMATS[first.format].unit
            return f"{first.path}, {unit} {first.part[0]:,} to {first.part[1]:,}"
        return str(first.path) if len(self.files) == 1 else f"{first.path} to {self.files[-1].path}"

    @property
    def bytes(self) -> tuple[int, int] | None:
        """Which part of a file it is, in bytes or row groups; None: it is whole files."""
        return self.files[0].part

    def corpus(self, first_row: int = 0) -> Corpus:
        """Its records, of which the first has an overall row."""
        return Corpus(self.files, first_row)


def cut(files: Sequence[InputFile], partition_bytes: int = PARTITION_BYTES) -> list[Partition]:
    """The partitions of all files, in order. Raises TitheError where a file cannot be read."""
    size = max(partition_bytes, sum(file.size for file in files) // _PARTITIONS)
    found: list[Partition] = []
    small: list[InputFile] = []

    def add(first: int, files: Sequence[InputFile]) -> None:
        if files:
            found.append(Partition(len(found), first, tuple(files)))

    for number, file in enumerate(files):
        ends = [0, *INPUT_FORMATS[file.format]().ends(file, size)]
        if len(ends) < 3 and sum(one.size for one in small) + file.size <= size:
            small.append(file)
            continue
        add(number - len(small), small)
        small = []
        if len(ends) < 3:
            small = [file]
            continue
        for first, end in pairwise(ends):
            add(number, [replace(file, part=(first, end))])
    add(len(files) - len(small), small)
    return found


def by_full_path(file: InputFile) -> InputFile:
    """A file as it is found from any folder: who works on it elsewhere may be in another."""
    if file.path != Path(STDIN):
        file = replace(file, path=absolute(file.path))
    return file if file.spooled is None else replace(file, spooled=file.spooled.absolute())
