"""`tithe replay`: the same selection again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tithe.cli.engine import executor_of
from tithe.cli.json_output import JSON, print_json
from tithe.cli.options import apply
from tithe.cli.places import PLACE
from tithe.cli.recorded import (
    ALLOW_CODE,
    ALLOW_READ,
    CONDUCT,
    DRIFTED,
    MANIFEST,
    WORK_DIR,
    check_losses,
    encoder_maker,
)
from tithe.cli.terminal import show, standard_input, teller

if TYPE_CHECKING:
    from tithe.selection.storage.places import Place


@click.command(context_settings={"max_content_width": 80})
@MANIFEST
@click.option("-o", "--output", type=PLACE, metavar="FILE", help="The subset.  [default: none]")
@WORK_DIR
@ALLOW_READ
@ALLOW_CODE
@click.option("--force", is_flag=True, help="Overwrite outputs that exist.")
@apply([*JSON, *CONDUCT])
@click.pass_context
def replay(
    context: click.Context,
    manifest: Place,
    output: Place | None,
    work_dir: Path | None,
    allow_read: tuple[str, ...],
    allow_code: bool,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Make the same selection again, and compare the bytes.

    MANIFEST is the file OUT.manifest.json of `tithe select`, or the subset OUT
    beside it. It names the options; the folder is that of the first time.
    Embeddings and clusters that are kept are used; name an empty --work-dir to make
    them anew. A manifest may be a stranger's: what it names outside its folder is
    read, and code that it names is run, only where that is allowed.

    Exit code 0: the subset, rows and clusters files have the same bytes; 3: they
    have not, or the inputs have drifted; what else differs is said.

    \b
    tithe replay subset.parquet.manifest.json
    tithe replay subset.parquet.manifest.json -o again.parquet
    """
    # Late, so that --help does not wait for numpy, pyarrow and faiss.
    from tithe.cli.progress import terminal_progress
    from tithe.selection.review.local_copy import open_record
    from tithe.selection.review.reach import Reach
    from tithe.selection.review.replay import replay as run

    reach = Reach.of(manifest, allow_read)
    with open_record(manifest, reach) as record:
        check_losses(record.options, allow_code=allow_code)
        found = run(
            record,
            encoder_maker(reach, allow_code=allow_code),
            output,
            executor_of=executor_of,
            work_dir=work_dir,
            overwrite=force,
            stdin=standard_input(),
            progress=terminal_progress(quiet=quiet),
            notify=teller(quiet=quiet),
        )
    if as_json:
        print_json(
            "replay",
            {
                "manifest": str(manifest),
                "identical": found.identical,
                "outputs": [{"path": name, "same": same} for name, same in found.same.items()],
                "findings": [{"part": f.part, "state": f.state, "detail": f.detail} for f in found.findings],
                "versions": {name: {"then": then, "now": now} for name, (then, now) in found.versions.items()},
                "written": None if output is None or not found.same else str(output),
            },
        )
    elif not quiet:
        for name, same in found.same.items():
            show(f"{'the same  ' if same else 'different '}{name}")
        for finding in found.findings:
            show(f"drifted   {finding.detail}")
        for name, (then, now) in found.versions.items():
            show(f"version   {name} was {then}, is {now}")
    context.exit(0 if found.identical else DRIFTED)
