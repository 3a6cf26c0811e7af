"""`tithe report`: a page that shows what a subset is worth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tithe.cli.json_output import JSON, print_json
from tithe.cli.options import DEBUG, apply
from tithe.cli.places import LOCAL_FILE
from tithe.cli.recorded import ALLOW_READ, MANIFEST

if TYPE_CHECKING:
    from tithe.selection.storage.places import Place


@click.command(context_settings={"max_content_width": 80})
@MANIFEST
@click.option("-o", "--output", type=LOCAL_FILE, metavar="FILE", help="The page: one HTML file.")
@click.option("--force", is_flag=True, help="Overwrite the output if it exists.")
@ALLOW_READ
@apply([*JSON, DEBUG])
def report(manifest: Place, output: Path | None, force: bool, allow_read: tuple[str, ...], as_json: bool) -> None:
    """Show what a subset is worth, as one HTML page.

    MANIFEST is the file OUT.manifest.json of `tithe select`, or the subset OUT, with
    the files that it names beside it. The page holds excerpts of records; it loads
    nothing and runs no script.

    \b
    tithe report subset.parquet.manifest.json -o report.html
    """
    if output is None:
        raise click.UsageError("-o FILE is needed: where the page goes")
    # Late, so that --help does not wait for numpy and pyarrow.
    from tithe.selection.review.local_copy import open_record
    from tithe.selection.review.reach import Reach
    from tithe.selection.review.report.make import make_report

    with open_record(manifest, Reach.of(manifest, allow_read)) as record:
        make_report(record, output, overwrite=force)
    if as_json:
        print_json("report", {"manifest": str(manifest), "path": str(output)})
