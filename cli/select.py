"""`tithe select`: the main command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tithe.cli.engine import executor_of
from tithe.cli.json_output import JSON, print_json
from tithe.cli.options import CONDUCT, INPUTS, apply, selection_options
from tithe.cli.terminal import show, standard_input, standard_output, teller
from tithe.selection.subset.exporters.registry import SUFFIXES

if TYPE_CHECKING:
    from tithe.selection.options.options import Options

_ENDINGS = ", ".join(SUFFIXES)


@click.command(context_settings={"max_content_width": 80})
@click.option(
    "-o", "--output", metavar="FILE",
    help=f"The subset: {_ENDINGS}, or - (JSONL); by the engine ray also FOLDER/.",
)  # fmt: skip
@INPUTS
@apply(selection_options())
@click.option("--dry-run", is_flag=True, help="Print the plan, write nothing.")
@apply([*JSON, *CONDUCT])
def select(output: str | None, dry_run: bool, as_json: bool, quiet: bool, **settings: Any) -> None:
    """Choose a weighted subset of a corpus.

    INPUTs are Parquet or JSONL files, plain or .gz, .zst, .bz2; folders; globs; all
    these also by URL (s3://, gs://, hdfs://), as may FILE be; or - for JSONL on
    standard input. Next to the subset come FILE.rows.parquet (where
    each record is from, why it weighs what it does), FILE.clusters.parquet and
    FILE.manifest.json (what was done, and what the subset is worth).

    \b
    tithe select corpus.jsonl -o subset.parquet
    tithe select data/ -o subset.jsonl.zst --fraction 0.05
    zstdcat corpus.jsonl.zst | tithe select - -o - --size 1000 > subset.jsonl
    tithe select t.parquet -o s.parquet --task regression --features a --target y
    """
    if not settings["inputs"]:
        raise click.UsageError("an INPUT is needed: a file, a folder, a glob, or - for standard input")
    if output is None and not dry_run:
        raise click.UsageError("-o FILE is needed: where the subset goes, or - for standard output")
    if as_json and output == "-" and not dry_run:
        raise click.UsageError("--json and -o - both want standard output: name a file with -o")
    options = _options(output, settings)
    if dry_run:
        _print_plan(options, as_json=as_json, quiet=quiet)
    else:
        _select(options, as_json=as_json, quiet=quiet)


def _options(output: str | None, settings: dict[str, Any]) -> Options:
    # Late, so that --help does not wait for numpy, pyarrow and faiss.
    from tithe.selection.options.options import Options
    from tithe.selection.storage.places import place_of

    if settings["task"] == "regression" and not _says("encoder"):
        settings["encoder"] = "features"
    return Options(
        output=None if output in (None, "-") else place_of(output),
        shards=output is not None and output.partition("?")[0].endswith("/"),
        **settings,
    )


def _says(parameter: str) -> bool:
    """Whether the command line, or the configuration file, says something of a parameter."""
    source = click.get_current_context().get_parameter_source(parameter)
    return source is not click.core.ParameterSource.DEFAULT


def _print_plan(options: Options, *, as_json: bool, quiet: bool) -> None:
    from tithe.cli.encoder import encoder_of
    from tithe.cli.progress import terminal_progress
    from tithe.selection.dry_run import forecast

    encoder = encoder_of(options)
    if options.engine != "local":
        raise click.UsageError("--dry-run looks at this machine only; leave --engine out")
    progress, notify = terminal_progress(quiet=quiet), teller(quiet=quiet)
    plan = forecast(options, encoder, stdin=standard_input(), progress=progress, notify=notify)
    if as_json:
        print_json("dry-run", plan.describe())
        return
    for line in plan.lines():
        show(line)


def _select(options: Options, *, as_json: bool, quiet: bool) -> None:
    from tithe.cli.encoder import encoder_of
    from tithe.cli.progress import terminal_progress
    from tithe.cli.summary import summary, summary_lines
    from tithe.selection.pipeline import select as run

    encoder = encoder_of(options)
    progress, notify = terminal_progress(quiet=quiet), teller(quiet=quiet)
    stdout = standard_output() if options.output is None else None  # now: Ray gets another
    with executor_of(options) as executor:
        selections = run(
            options, encoder, executor=executor, stdin=standard_input(), stdout=stdout, progress=progress, notify=notify
        )
    if as_json:
        print_json("select", summary(selections))
        return
    for line in summary_lines(selections):
        notify(line)
