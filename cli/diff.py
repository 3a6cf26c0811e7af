"""`tithe diff`: what differs between two selections."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from tithe.cli.json_output import JSON, print_json
from tithe.cli.options import DEBUG, apply
from tithe.cli.places import MANIFEST_FILE
from tithe.cli.recorded import ALLOW_READ
from tithe.cli.terminal import show

if TYPE_CHECKING:
    from tithe.selection.review import diff as differences
    from tithe.selection.review.diff import Change, Difference
    from tithe.selection.storage.places import Place

# Records that are named; --json names all.
_NAMED = 5


@click.command(context_settings={"max_content_width": 80})
@click.argument("before", type=MANIFEST_FILE, metavar="A")
@click.argument("after", type=MANIFEST_FILE, metavar="B")
@ALLOW_READ
@apply([*JSON, DEBUG])
def diff(before: Place, after: Place, allow_read: tuple[str, ...], as_json: bool) -> None:
    """Show what differs between two selections.

    A and B are files OUT.manifest.json of `tithe select`, or the subsets OUT, with
    their rows files beside them. Shown are options, versions, inputs, the records
    that came in and went out, weights and evidence.

    \b
    tithe diff old.parquet.manifest.json new.parquet.manifest.json
    """
    # Late, so that --help does not wait for numpy and pyarrow.
    from tithe.selection.review.diff import difference
    from tithe.selection.review.local_copy import open_record
    from tithe.selection.review.reach import Reach

    with (
        open_record(before, Reach.of(before, allow_read)) as first,
        open_record(after, Reach.of(after, allow_read)) as second,
    ):
        found = difference(first, second)
    if as_json:
        print_json("diff", {"before": str(before), "after": str(after), "same": found.nothing, **asdict(found)})
        return
    for line in _lines(found):
        show(line)


def _lines(found: Difference) -> Iterable[str]:
    if found.nothing:
        yield "nothing differs"
        return
    yield from _changed("option", found.options)
    yield from _changed("version", found.versions)
    for change in found.inputs:
        what = "is new" if change.before is None else "is gone" if change.after is None else "has other bytes"
        yield f"input     {_shown(change.name)} {what}"
    records = found.records
    yield f"records   {records.both:,} in both, {len(records.out):,} out, {len(records.into):,} in"
    yield from _places("out", records.out)
    yield from _places("in", records.into)
    if records.reweighted:
        yield f"weights   {records.reweighted:,} in both weigh others, by a factor of up to {records.largest_ratio:.4g}"
    yield from _changed("weights", found.weights)
    yield from _changed("evidence", found.evidence)


def _changed(head: str, changes: Iterable[Change]) -> Iterable[str]:
    for change in changes:
        yield f"{head:<9} {change.name}: {_shown(change.before)} → {_shown(change.after)}"


def _places(head: str, places: tuple[differences.Place, ...]) -> Iterable[str]:
    for place in places[:_NAMED]:
        yield f"{head:<9} {_shown(place.file)}, row {place.row_in_file:,}"
    if len(places) > _NAMED:
        yield f"          and {len(places) - _NAMED:,} more; --json names all"


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
