"""One pass over the corpus for all that fields of the records say of the selection: conditions, groups."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tithe.selection.corpus import Corpus, check_field
from tithe.selection.frame.conditions import Flags, flags, parse_conditions
from tithe.selection.frame.groups import GroupReader, Groups
from tithe.selection.options import Options
from tithe.selection.stages import Stages

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Marks:
    """What was asked about every record, in the fewest bytes; None where nothing was."""

    flags: Flags | None = None
    """Of conditions: see there; 1 byte a record."""
    groups: Groups | None = None

    def without(self, bad: Rows) -> Marks:
        """Of the usable records: all but those at some overall rows."""
        if len(bad) == 0:
            return self
        return Marks(
            None if self.flags is None else np.delete(self.flags, bad),
            None if self.groups is None else replace(self.groups, codes=np.delete(self.groups.codes, bad)),
        )


def check_marked_fields(options: Options, corpus: Corpus) -> None:
    """Raise UsageError where the corpus's schema lacks a field that a condition or a group names."""
    for condition in parse_conditions(options.always, options.never):
        check_field(corpus, condition.name, str(condition))
    check_field(corpus, options.group_by, f"--group-by {options.group_by}")


def read_marks(options: Options, corpus: Corpus, stages: Stages) -> Marks:
    """Look at the fields of all records, where options name some.

    Before anything that takes long: raises UsageError where no record has a value that is asked for.
    """
    conditions = parse_conditions(options.always, options.never)
    groups = None if options.group_by is None else GroupReader(options.group_by)
    fields = {condition.name for condition in conditions} | ({options.group_by} if options.group_by else set())
    if not fields:
        return Marks()
    found = [np.empty(0, np.uint8)]
    with stages("fields", corpus.known_rows) as advance:
        for batch in corpus.batches(fields):
            if conditions:
                found.append(flags(conditions, batch))
            if groups is not None:
                groups.read(batch)
            advance(len(batch))
    for condition in conditions:
        condition.check()
    return Marks(np.concatenate(found) if conditions else None, None if groups is None else groups.groups())
