"""`tithe explain`: why a record was selected, or was not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tithe.cli.json_output import JSON, print_json
from tithe.cli.options import apply
from tithe.cli.recorded import ALLOW_CODE, ALLOW_READ, CONDUCT, MANIFEST, WORK_DIR, encoder_maker
from tithe.cli.terminal import show, teller
from tithe.selection.sizes import counted

if TYPE_CHECKING:
    from tithe.selection.review.explain import Explanation, Standing
    from tithe.selection.storage.places import Place

# Characters of a text in a line.
_SHOWN = 60


@click.command(context_settings={"max_content_width": 80})
@MANIFEST
@click.option("--row", type=int, required=True, metavar="N", help="The record: its row over all INPUTs, from 0.")
@WORK_DIR
@ALLOW_READ
@ALLOW_CODE
@apply([*JSON, *CONDUCT])
def explain(
    manifest: Place,
    row: int,
    work_dir: Path | None,
    allow_read: tuple[str, ...],
    allow_code: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Tell why a record was selected, or was not.

    MANIFEST is the file OUT.manifest.json of `tithe select`, or the subset OUT
    beside it. Shown are the cluster of the record and its centre, its distance,
    score and probability, and the selected records that are most like it. What is
    kept of embeddings and clusters is used; losses are not asked for again of
    models and commands. A manifest may be a stranger's: what it names outside its
    folder is read, and code that it names is run, only where that is allowed.

    \b
    tithe explain subset.parquet.manifest.json --row 1234
    """
    # Late, so that --help does not wait for numpy, pyarrow and faiss.
    from tithe.cli.progress import terminal_progress
    from tithe.selection.review.explain import explain as run
    from tithe.selection.review.local_copy import open_record
    from tithe.selection.review.reach import Reach

    notify = teller(quiet=quiet)
    progress = terminal_progress(quiet=quiet)
    reach = Reach.of(manifest, allow_read)
    maker = encoder_maker(reach, allow_code=allow_code)
    with open_record(manifest, reach) as record:
        found = run(record, row, maker, work_dir=work_dir, progress=progress, notify=notify)
    if as_json:
        print_json("explain", {"manifest": str(manifest), **asdict(found)})
        return
    for line in _lines(found):
        show(line)


def _lines(found: Explanation) -> Iterator[str]:
    yield f"record    row {found.row:,}: {found.place}{_text(found.text)}"
    yield f"selected  {'yes' if found.selected else 'no'}: {found.reason}"
    if found.standing is not None:
        yield from _standing(found.standing)


def _standing(standing: Standing) -> Iterator[str]:

    centre = "it is the centre" if standing.is_centre else f"{standing.distance:.3g} from the centre"
    records = counted(standing.records, "record")
    yield f"cluster   {standing.cluster}: {standing.selected:,} of {records} selected; {centre}"
    yield f"centre    row {standing.centre_row:,}{_text(standing.centre_text)}"
    if standing.score is None:
        yield "score     not known: the losses it rests on are not at hand, or were rounded otherwise"
    else:
        mean = "" if standing.relative_score is None else f", {standing.relative_score:.2f} of the mean"
        yield f"score     {standing.score:.4g}{mean}"
    if standing.probability is not None:
        weight = "" if standing.weight is None else f", so it weighs {standing.weight:.4g}"
        about = "about " if standing.about else ""
        yield f"chance    {about}{standing.probability:.2%}{weight}"
    for near in standing.neighbours:
        yield f"near      row {near.row:,} at {near.distance:.3g}, weight {near.weight:.4g}{_text(near.text)}"


def _text(text: str | None) -> str:
    if text is None:
        return ""
    line = " ".join(text.split())
    return f": {line[:_SHOWN]}{'…' if len(line) > _SHOWN else ''}"
