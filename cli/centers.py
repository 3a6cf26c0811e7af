"""`tithe centers`: what a trainer is to score before a selection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tithe.cli.engine import executor_of
from tithe.cli.json_output import JSON, print_json
from tithe.cli.options import CONDUCT, INPUTS, apply, selection_options
from tithe.cli.places import LOCAL_FILE
from tithe.cli.terminal import standard_input, teller
from tithe.selection.sizes import counted


@click.command(context_settings={"max_content_width": 80})
@click.option("-o", "--output", type=LOCAL_FILE, metavar="FILE", help="The records, as JSONL.")
@INPUTS
@apply(selection_options(centers=True, helps={"validate": "Add the V random records of 'select --validate V'."}))
@apply([*JSON, *CONDUCT])
def centers(
    inputs: tuple[str, ...],
    output: Path | None,
    as_json: bool,
    quiet: bool,
    **settings: Any,
) -> None:
    """Write the records whose losses a selection needs.

    Each record of the corpus that is a cluster's centre (or, by --method, a
    landmark), with two more fields: row (over all INPUTs, from 0) and cluster. Score them with your own trainer, write
    row and loss, and select with the same options and --loss file:PATH.

    \b
    tithe centers corpus.jsonl -o centers.jsonl
    tithe select corpus.jsonl -o subset.jsonl --loss file:l.jsonl
    """
    if not inputs:
        raise click.UsageError("an INPUT is needed: a file, a folder, a glob, or - for standard input")
    if output is None:
        raise click.UsageError("-o FILE is needed: where the centre records go")
    # Late, so that --help does not wait for numpy, pyarrow and faiss.
    from tithe.cli.encoder import encoder_of
    from tithe.cli.progress import terminal_progress
    from tithe.selection.centres import write_centres
    from tithe.selection.options.options import Options

    # The losses are still to come; that they are asked for is what makes room for --validate.
    options = Options(inputs=inputs, output=None, loss="file:", **settings)
    made = encoder_of(options)
    notify = teller(quiet=quiet)
    progress = terminal_progress(quiet=quiet)
    with executor_of(options) as executor:
        count = write_centres(
            options, made, output, executor=executor, stdin=standard_input(), progress=progress, notify=notify
        )
    if as_json:
        print_json("centers", {"path": str(output), "records": count})
        return
    notify(f"wrote {counted(count, 'record')} to {output}: score them, and select with --loss file:PATH")
