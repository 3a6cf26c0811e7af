"""One pass over the corpus for all that fields of the records say of the selection: conditions, groups."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from tithe.selection.corpus import Corpus, check_field
from tithe.selection.frame.conditions import Flags, flags, parse_conditions
from tithe.selection.frame.groups import GroupReader, Groups
from tithe.selection.groundwork import Groundwork
from tithe.selection.options import Options
from tithe.selection.per_record import PerRecord
from tithe.selection.stages import Advance, Stages


@dataclass(frozen=True)
class Marks:
    """What was asked about every record, in the fewest bytes; None where nothing was."""

    flags: PerRecord | None = None
    """Of conditions: see there; 1 byte a record."""
    groups: Groups | None = None


class MarkReader:
    """Looks at the fields of records, batch by batch, as the options say."""

    def __init__(self, options: Options) -> None:
        self.conditions = parse_conditions(options.always, options.never)
        self.groups = None if options.group_by is None else GroupReader(options.group_by)
        self.fields = {condition.name for condition in self.conditions}
        if options.group_by is not None:
            self.fields.add(options.group_by)
        self._flags = [np.empty(0, np.uint8)]

    def read(self, corpus: Corpus, advance: Advance) -> None:
        """Look at all records of a corpus. Raises TitheError where their values make no groups."""
        for batch in corpus.batches(self.fields):
            if self.conditions:
                self._flags.append(flags(self.conditions, batch))
            if self.groups is not None:
                self.groups.read(batch)
            advance(len(batch))

    @property
    def flags(self) -> Flags:
        """Of all records that were read."""
        return np.concatenate(self._flags)


class MarksBefore(Protocol):
    """What was asked about every record, before anybody knows which are usable."""

    def of(self, ground: Groundwork) -> Marks:
        """That of the usable records."""
        ...


class ReadMarks:
    """What was asked about every record, the unusable ones too."""

    def __init__(self, flags: Flags | None = None, groups: Groups | None = None) -> None:
        self._flags, self._groups = flags, groups

    def of(self, ground: Groundwork) -> Marks:
        """See MarksBefore."""
        bad = ground.bad.rows()
        flags, groups = self._flags, self._groups
        if len(bad):
            flags = None if flags is None else np.delete(flags, bad)
            groups = None if groups is None else replace(groups, codes=np.delete(np.asarray(groups.codes), bad))
        return Marks(flags, groups)


def check_marked_fields(options: Options, corpus: Corpus) -> None:
    """Raise UsageError where the corpus's schema lacks a field that a condition or a group names."""
    for condition in parse_conditions(options.always, options.never):
        check_field(corpus, condition.name, str(condition))
    check_field(corpus, options.group_by, f"--group-by {options.group_by}")


def read_marks(options: Options, corpus: Corpus, stages: Stages) -> ReadMarks:
    """Look at the fields of all records, where options name some.

    Before anything that takes long: raises UsageError where no record has a value that is asked for.
    """
    reader = MarkReader(options)
    if not reader.fields:
        return ReadMarks()
    with stages("fields", corpus.known_rows) as advance:
        reader.read(corpus, advance)
    for condition in reader.conditions:
        condition.check()
    return ReadMarks(
        reader.flags if reader.conditions else None, None if reader.groups is None else reader.groups.groups()
    )
