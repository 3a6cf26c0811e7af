"""Some records from all over a corpus: of one that is sorted, the first ones are like no others."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import islice
from typing import Any

import numpy as np

from tithe.selection.corpus.batch import BadRecord
from tithe.selection.corpus.formats import INPUT_FORMATS
from tithe.selection.corpus.inputs import InputFile
from tithe.selection.corpus.reader import evenly_apart

# Files that are looked into, places in each, records at each.
_FILES, _PLACES, _RECORDS = 8, 4, 32


def some_records(files: Sequence[InputFile], fields: Collection[str] | None) -> list[dict[str, Any]]:
    """Records of files evenly apart and, where these can be entered anywhere, of places evenly apart in them.

    Always the same ones. `fields` are those that are read from Parquet, None for all. Raises TitheError where a file
    cannot be read.
    """
    found: list[dict[str, Any]] = []
    for at in evenly_apart(len(files), _FILES):
        reader = INPUT_FORMATS[files[at].format]()
        for place in reader.places(files[at], _PLACES):
            for batch in islice(reader.read(place, 0, fields), 1):
                chosen = batch.select(np.array(evenly_apart(len(batch), _RECORDS), np.int64))
                found += [record for record in chosen.records() if not isinstance(record, BadRecord)]
    return found
