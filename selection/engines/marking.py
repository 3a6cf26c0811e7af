"""What fields of the records say of a selection, part by part; see `frame.marks`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tithe.selection.corpus import Corpus
from tithe.selection.engines.executor import Executor
from tithe.selection.engines.ground import ScatteredGroundwork
from tithe.selection.engines.kept import keep, kept
from tithe.selection.engines.part_facts import PlacedPart, scratch_of
from tithe.selection.engines.parts import Part, cut
from tithe.selection.frame.conditions import Condition, parse_conditions
from tithe.selection.frame.groups import Groups, check_number, check_values
from tithe.selection.frame.marks import MarkReader, Marks, MarksBefore, ReadMarks
from tithe.selection.groundwork import Groundwork
from tithe.selection.options import Options
from tithe.selection.own_files import OwnPath
from tithe.selection.stages import Stages
from tithe.selection.work.folder import WorkFolder

FLAGS, GROUPS = "flags", "groups"
"""Quantities of a part where they are asked for."""

# Of all rows of a part, its groups by numbers of its own.
_READ_FLAGS, _READ_GROUPS = "read-flags", "read-groups"


@dataclass(frozen=True)
class _PartMarks:
    """What leaves a part."""

    conditions: Sequence[Condition]
    values: tuple[str | None, ...]
    """Of the groups, as they come in the part."""


class ScatteredMarks:
    """What was asked about every record of every part."""

    def __init__(self, flagged: bool, field: str | None, found: Sequence[_PartMarks]) -> None:
        self._flagged, self._field = flagged, field
        numbers: dict[str | None, int] = {}
        self._numbers = []
        for part in found:
            of_part = [numbers.setdefault(value, len(numbers)) for value in part.values]
            if field is not None:
                check_number(field, len(numbers))
            self._numbers.append(np.array(of_part, np.uint16))
        self._values = tuple(numbers)
        if field is not None:
            check_values(field, self._values)

    def of(self, ground: Groundwork) -> Marks:
        """See MarksBefore."""
        assert isinstance(ground, ScatteredGroundwork), "the marks lie where the parts are"
        grouped = self._field is not None
        calls = ((number, (of_part, self._flagged, grouped)) for number, of_part in enumerate(self._numbers))
        for _ in ground.home.over_parts(_place, calls):
            pass
        return Marks(
            ground.home.quantity(FLAGS) if self._flagged else None,
            None if self._field is None else Groups(self._field, ground.home.quantity(GROUPS), self._values),
        )


def read_marks_in_parts(
    options: Options, corpus: Corpus, work: WorkFolder, stages: Stages, executor: Executor, part_bytes: int
) -> MarksBefore:
    """Look at the fields of all records, where options name some; see `read_marks`."""
    conditions = parse_conditions(options.always, options.never)
    if not conditions and options.group_by is None:
        return ReadMarks()
    total = sum(file.size for file in corpus.files)
    parts, found = cut(corpus.files, part_bytes), []
    with stages("fields", total, "bytes") as advance:
        for part in executor.map(_read, ((part, work.scratch, options) for part in parts)):
            found.append(part)
            advance(total // len(parts))
    for number, condition in enumerate(conditions):
        for part in found:
            condition.join(part.conditions[number])
        condition.check()
    return ScatteredMarks(bool(conditions), options.group_by, found)


def _read(part: Part, scratch: OwnPath, options: Options) -> _PartMarks:
    """Leave the marks of a part in its scratch."""
    reader, folder = MarkReader(options), scratch_of(scratch, part)
    reader.read(Corpus([part.file]), lambda count: None)
    if reader.conditions:
        keep(folder, _READ_FLAGS, reader.flags)
    if reader.groups is None:
        return _PartMarks(reader.conditions, ())
    keep(folder, _READ_GROUPS, reader.groups.codes)
    return _PartMarks(reader.conditions, reader.groups.values)


def _place(place: PlacedPart, numbers: npt.NDArray[np.uint16], flagged: bool, grouped: bool) -> None:
    """Leave them again, of the usable records, groups by the numbers that they have in all parts."""
    bad, folder = place.known.bad, place.scratch
    if flagged:
        place.keep(FLAGS, np.delete(kept(folder, _READ_FLAGS), bad))
    if grouped:
        place.keep(GROUPS, numbers[np.delete(kept(folder, _READ_GROUPS), bad)])
