"""A corpus in parts: whole files, or row groups of Parquet and bytes of plain JSONL where a file is large."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from tithe.selection.corpus import InputFile
from tithe.selection.corpus.footer import read_footer
from tithe.selection.corpus.inputs import STDIN
from tithe.selection.corpus.jsonl import start_of_line
from tithe.selection.corpus.storage import absolute, open_binary
from tithe.selection.errors import TitheError

# Bytes of a part, about, and parts of a large corpus: what leaves a part is a few numbers for each cluster. The draw
# depends on where the parts end, so neither may depend on the machines.
PART_BYTES, _PARTS = 128 << 20, 1024


@dataclass(frozen=True)
class Part:
    """Some records of one file, one after the other."""

    number: int
    """Of the part, among those of all files."""
    file_number: int
    file: InputFile
    first_row: int = 0
    """The overall row of its first record, where anybody asks for it before the records are embedded."""

    def __str__(self) -> str:
        if self.file.part is None:
            return str(self.file.path)
        first, end = self.file.part
        return f"{self.file.path}, {'row groups' if self.file.format == 'parquet' else 'bytes'} {first:,} to {end:,}"


def cut(files: Sequence[InputFile], part_bytes: int = PART_BYTES) -> list[Part]:
    """The parts of all files, in order, by their full paths: who works on them may be in another folder.

    Raises TitheError where a file cannot be read.
    """
    parts: list[Part] = []
    part_bytes = max(part_bytes, sum(file.size for file in files) // _PARTS)
    for number, file in enumerate(by_full_path(file) for file in files):
        ends = [0, *_ends(file, part_bytes)]
        whole = len(ends) < 3
        for first, end in [(0, 0)] if whole else pairwise(ends):
            parts.append(Part(len(parts), number, file if whole else replace(file, part=(first, end))))
    return parts


def by_full_path(file: InputFile) -> InputFile:
    """A file as it is found from any folder."""
    if file.path != Path(STDIN):
        file = replace(file, path=absolute(file.path))
    return file if file.spooled is None else replace(file, spooled=file.spooled.absolute())


def _ends(file: InputFile, part_bytes: int) -> Iterator[int]:
    """Where parts of a file end, in its row groups or bytes; of a file that cannot be cut nothing."""
    if file.format == "parquet":
        size = 0
        sizes = read_footer(file).sizes.sum(axis=1).tolist()
        for group, bytes_ in enumerate(sizes):
            size += bytes_
            if size >= part_bytes or group == len(sizes) - 1:
                yield group + 1
                size = 0
    elif file.compression is None:
        try:
            with open_binary(file.readable) as lines:
                end = 0
                while end < file.size:
                    end = start_of_line(lines, min(end + part_bytes, file.size)) or file.size
                    yield end
        except OSError as error:
            raise TitheError(f"{file.path}: cannot be read ({error.strerror})") from error
