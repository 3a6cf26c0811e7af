"""One pass over the corpus for all that fields of the records say of the selection: conditions, groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tithe.selection.conditions import Flags, flags, parse_conditions
from tithe.selection.corpus import Corpus
from tithe.selection.groundwork import check_field
from tithe.selection.options import Options
from tithe.selection.stages import Stages

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Marks:
    """What was asked about every record, in the fewest bytes; None where nothing was."""

    flags: Flags | None = None
    """Of conditions: see there; 1 byte a record."""

    def without(self, bad: Rows) -> Marks:
        """Of the usable records: all but those at some overall rows."""
        return Marks(_without(self.flags, bad))


def check_marked_fields(options: Options, corpus: Corpus) -> None:
    """Raise UsageError where the corpus's schema lacks a field that a condition or a group names."""
    for condition in parse_conditions(options.always, options.never):
        check_field(corpus, condition.name, str(condition))


def read_marks(options: Options, corpus: Corpus, stages: Stages) -> Marks:
    """Look at the fields of all records, where options name some.

    Before anything that takes long: raises UsageError where no record has a value that is asked for.
    """
    conditions = parse_conditions(options.always, options.never)
    if not conditions:
        return Marks()
    found = [np.empty(0, np.uint8)]
    with stages("fields", corpus.known_rows) as advance:
        for batch in corpus.batches({condition.name for condition in conditions}):
            found.append(flags(conditions, batch))
            advance(len(batch))
    for condition in conditions:
        condition.check()
    return Marks(np.concatenate(found))


def _without(values: npt.NDArray[Any] | None, bad: Rows) -> npt.NDArray[Any] | None:
    return values if values is None or len(bad) == 0 else np.delete(values, bad)
