"""Some records from all over a corpus: of one that is sorted, the first ones are like no others."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice, pairwise
from typing import Any

import numpy as np

from tithe.selection.corpus.batch import BadRecord, Batch
from tithe.selection.corpus.footer import read_footer
from tithe.selection.corpus.inputs import InputFile
from tithe.selection.corpus.jsonl import read_jsonl, start_of_line
from tithe.selection.corpus.parquet import read_parquet
from tithe.selection.corpus.storage import open_binary

# Files that are looked into, places in each, records at each.
_FILES, _PLACES, _RECORDS = 8, 4, 32

# Bytes within which a line must end for the next one to be looked at.
_LINE = 4 << 20


def some_records(files: Sequence[InputFile], fields: Collection[str] | None) -> list[dict[str, Any]]:
    """Records of files evenly apart and, where these can be entered anywhere, of places evenly apart in them.

    Always the same ones. `fields` are those that are read from Parquet, None for all. Raises TitheError where a file
    cannot be read.
    """
    found: list[dict[str, Any]] = []
    for at in _apart(len(files), _FILES):
        for place in _places(files[at]):
            for batch in islice(_read(place, fields), 1):
                chosen = batch.select(np.array(_apart(len(batch), _RECORDS), np.int64))
                found += [record for record in chosen.records() if not isinstance(record, BadRecord)]
    return found


def _read(file: InputFile, fields: Collection[str] | None) -> Iterator[Batch]:
    return read_parquet(file, 0, fields) if file.format == "parquet" else read_jsonl(file, 0)


def _places(file: InputFile) -> Iterable[InputFile]:
    """A file in parts of which each begins at another place."""
    if file.format == "parquet":
        groups = _apart(len(read_footer(file).group_rows), _PLACES)
        return [replace(file, part=(group, group + 1)) for group in groups]
    if file.compression is not None and file.spooled is None:
        return [file]
    return [replace(file, part=part) for part in pairwise([*_starts(file), file.size])]


def _starts(file: InputFile) -> list[int]:
    """Where lines begin, near places evenly apart."""
    try:
        with open_binary(file.readable) as lines:
            found = {start_of_line(lines, at, within=_LINE) for at in range(0, file.size, file.size // _PLACES + 1)}
    except OSError as error:
        raise file.unreadable(error, "cannot be read") from error
    return sorted(start for start in found if start is not None and start < file.size)


def _apart(count: int, wanted: int) -> list[int]:
    """The first, the last and others of `count`, as many as are `wanted`."""
    return sorted({round(at) for at in np.linspace(0, count - 1, min(count, wanted))})
