"""One pass over the corpus for all that fields of the records say of the selection: conditions, groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tithe.selection.clustering.clustered_corpus import ClusteredCorpus
from tithe.selection.corpus.corpus import Corpus, check_field
from tithe.selection.corpus.partitions import Partition, by_full_path, cut
from tithe.selection.engine.columns import ColumnWriter
from tithe.selection.engine.executor import Executor
from tithe.selection.engine.quantities import Quantity, blocks
from tithe.selection.engine.stages import Advance, Stages
from tithe.selection.options.options import Options
from tithe.selection.population.conditions import Condition, flags, parse_conditions
from tithe.selection.population.groups import GroupReader, Groups, check_number, check_values


@dataclass(frozen=True)
class RecordFields:
    """What was asked about every record, in the fewest bytes; None where nothing was."""

    flags: Quantity | None = None
    """Of conditions: see there; 1 byte a record."""
    groups: Groups | None = None


@dataclass(frozen=True)
class Asked:
    """What is asked about every record."""

    always: tuple[str, ...]
    never: tuple[str, ...]
    group_by: str | None


@dataclass(frozen=True)
class _PartitionMarks:
    """What was found in a partition, of all its records, the unusable ones too."""

    conditions: Sequence[Condition]
    flags: npt.NDArray[np.uint8]
    values: tuple[str | None, ...]
    """Of the groups, as they come in the partition."""
    codes: npt.NDArray[np.uint16]
    """Groups by numbers of its own."""


class ReadFields:
    """What was asked about every record, the unusable ones too: before anybody knows which these are."""

    def __init__(self, flags: npt.NDArray[np.uint8] | None = None, groups: Groups | None = None) -> None:
        self._flags, self._groups = flags, groups

    def of(self, clustered: ClusteredCorpus) -> RecordFields:
        """That of the usable records."""
        flags, groups, bad = self._flags, self._groups, clustered.bad.rows()
        if len(bad):
            flags = None if flags is None else _without(flags, bad)
            groups = None if groups is None else replace(groups, codes=_without(groups.codes, bad))
        return RecordFields(flags, groups)


def check_record_fields(options: Options, corpus: Corpus) -> None:
    """Raise UsageError where the corpus's schema lacks a field that a condition or a group names."""
    for condition in parse_conditions(options.always, options.never):
        check_field(corpus, condition.name, str(condition))
    check_field(corpus, options.group_by, f"--group-by {options.group_by}")


def read_record_fields(options: Options, corpus: Corpus, stages: Stages, executor: Executor) -> ReadFields:
    """Look at the fields of all records, where options name some.

    Before anything that takes long: raises UsageError where no record has a value that is asked for.
    """
    conditions = parse_conditions(options.always, options.never)
    asked = Asked(options.always, options.never, options.group_by)
    if not conditions and asked.group_by is None:
        return ReadFields()
    files = [by_full_path(file) for file in corpus.files] if executor.remote else corpus.files
    flagged, codes = ColumnWriter(np.uint8), ColumnWriter(np.uint16)
    numbers: dict[str | None, int] = {}
    with stages("fields", corpus.known_rows) as advance:
        calls = ((partition, asked) for partition in cut(files, executor.partition_bytes))
        found: _PartitionMarks
        for found in executor.map(_read, calls, advance, lambda found: max(len(found.flags), len(found.codes))):
            for condition, here in zip(conditions, found.conditions, strict=True):
                condition.join(here)
            flagged.append(found.flags)
            if asked.group_by is not None:
                table = np.array([numbers.setdefault(value, len(numbers)) for value in found.values], np.int64)
                check_number(asked.group_by, len(numbers))
                codes.append(table[found.codes] if len(table) else found.codes)
    for condition in conditions:
        condition.check()
    groups = None
    if asked.group_by is not None:
        check_values(asked.group_by, numbers)
        groups = Groups(asked.group_by, codes.column(), tuple(numbers), options.wanted_groups)
    return ReadFields(flagged.column() if conditions else None, groups)


def _read(partition: Partition, asked: Asked, *, advance: Advance) -> _PartitionMarks:
    """Raises TitheError where the values of a partition make no groups."""
    conditions = parse_conditions(asked.always, asked.never)
    groups = None if asked.group_by is None else GroupReader(asked.group_by)
    fields = {condition.name for condition in conditions} | ({asked.group_by} if asked.group_by is not None else set())
    found = [np.empty(0, np.uint8)]
    for batch in partition.corpus().batches(fields):
        if conditions:
            found.append(flags(conditions, batch))
        if groups is not None:
            groups.read(batch)
        advance(len(batch))
    values, codes = ((), np.empty(0, np.uint16)) if groups is None else (groups.values, groups.codes)
    return _PartitionMarks(conditions, np.concatenate(found), values, codes)


def _without(values: Quantity, bad: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """The values of the records that are not in the rows `bad`, ascending."""
    writer = ColumnWriter(values[:0].dtype)
    for part in blocks(len(values)):
        here = bad[slice(*np.searchsorted(bad, [part.start, part.stop]))]
        writer.append(np.delete(values[part], here - part.start))
    return writer.column()
