"""`tithe select`: the main command."""

from __future__ import annotations

from typing import Any

import click

from tithe.cli.engine import executor_of
from tithe.cli.json_output import JSON, print_json
from tithe.cli.options import CLUSTERS, CONDUCT, ENGINE, INPUTS, apply
from tithe.cli.terminal import show, standard_input, standard_output, teller

# As in tithe.selection.trainers, which loads numpy.
TRAINERS = ("trl", "transformers", "ms-swift", "llama-factory", "axolotl", "fireworks", "openai", "sklearn")


class _Lambda(click.ParamType):
    name = "NUMBER|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        if value is None or value == "auto":
            return None
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number nor auto", param, ctx)


@click.command(context_settings={"max_content_width": 80})
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="The subset: .parquet, .jsonl, .jsonl.gz, .jsonl.zst, or - (JSONL); by the engine ray also FOLDER/.",
)
@apply(INPUTS)
@click.option(
    "--task", type=click.Choice(["training", "regression"]), default="training", show_default=True,
    help="What the subset is for: to train on, or to fit a linear regression.",
)  # fmt: skip
@click.option("--features", multiple=True, metavar="A,B,...", help="Numeric fields of a regression; repeatable.")
@click.option("--target", metavar="FIELD", help="Numeric field that a regression predicts.")
@apply(CLUSTERS)
@click.option("--z", type=int, default=2, show_default=True, metavar="1|2", help="Power of the distance in the scores.")
@click.option(
    "--lambda", "smoothness", type=_Lambda(), default="auto", show_default=True, metavar="L|auto",
    help="Change of loss per unit of distance^z.",
)  # fmt: skip
@click.option(
    "--loss",
    default="none",
    show_default=True,
    metavar="SPEC",
    help="Losses of the centres: none, column:NAME, file:PATH (with row and loss), exec:COMMAND, "
    "model:NAME_OR_FOLDER, or module:attribute.",
)
@click.option(
    "--loss-timeout",
    type=float,
    default=600.0,
    show_default=True,
    metavar="S",
    help="Seconds for which an exec:COMMAND may be silent.",
)
@click.option(
    "--dtype", type=click.Choice(["auto", "float32", "bfloat16", "float16"]), default="auto", show_default=True,
    help="Numbers that model: losses are calculated with; auto is bfloat16 on CUDA devices that have it, else float32.",
)  # fmt: skip
@click.option("--score-subset", is_flag=True, help="Ask for the losses of the subset too: an estimate with interval.")
@click.option("--validate", type=int, metavar="V", help="Ask for the losses of V random records too: a forecast.")
@click.option("--validation-loss", metavar="SPEC", help="Where these come from.  [default: as --loss]")
@click.option(
    "--sampler", type=click.Choice(["pivotal", "simple", "iid"]), default="pivotal", show_default=True,
    help="Distinct records spread over the clusters; distinct records; independent draws (Algorithm 1 as printed).",
)  # fmt: skip
@click.option("--keep-centers", is_flag=True, help="Take the K centres with certainty, within the budget.")
@click.option(
    "--temper", type=float, default=1.0, show_default=True, metavar="T",
    help="Raise the weights to this power, with the same sum: 0 makes them equal.",
)  # fmt: skip
@click.option(
    "--for", "trainer", type=click.Choice(TRAINERS), metavar="TRAINER",
    help=f"What reads the subset: {', '.join(TRAINERS)}. Sets the next two, and says what it does with weights.",
)  # fmt: skip
@click.option(
    "--weights-as", type=click.Choice(["column", "loss-scale", "replicate", "resample", "none"]),
    help="Weights in a column; in the assistant's messages; none, but records repeated in proportion (rounded at "
    "random, or drawn with replacement); none.  [default: column]",
)  # fmt: skip
@click.option(
    "--weight-scale", type=click.Choice(["sum", "mean"]),
    help="Sum of the weights: the number of records; or mean 1.  [default: sum]",
)  # fmt: skip
@click.option("--weight-column", default="weight", show_default=True, metavar="NAME", help="Name of the added column.")
@click.option("--seed", type=int, default=0, show_default=True, metavar="N", help="Seed of the draw.")
@click.option("--exclude", multiple=True, metavar="SUBSET", help="Leave out what an earlier subset took; repeatable.")
@click.option("--never", multiple=True, metavar="FIELD=VALUE", help="Leave out the records with this; repeatable.")
@click.option(
    "--always", multiple=True, metavar="FIELD=VALUE",
    help="Take the records with this with certainty, within the budget; repeatable.",
)  # fmt: skip
@click.option("--dedup", is_flag=True, help="Of records of equal text draw one at most, to stand for all.")
@click.option(
    "--dedup-near", type=float, metavar="T",
    help="Of records of a cluster whose cosine is T or more draw one at most, to stand for all.",
)  # fmt: skip
@click.option("--group-by", metavar="FIELD", help="Draw a fixed number of records for each value of this field.")
@click.option("--group-min", type=int, metavar="N", help="At least so many of each group.")
@click.option("--group-max", type=int, metavar="N", help="At most so many of each group.")
@click.option(
    "--group-share", multiple=True, metavar="VALUE=S,...",
    help="Shares of the budget, such as web=0.3,other=0.7.  [default: as the scores]",
)  # fmt: skip
@apply(ENGINE)
@click.option("--dry-run", is_flag=True, help="Print the plan, write nothing.")
@apply([*JSON, *CONDUCT])
def select(
    inputs: tuple[str, ...],
    output: str | None,
    encoder: str | None,
    features: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    **settings: Any,
) -> None:
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
    if not inputs:
        raise click.UsageError("an INPUT is needed: a file, a folder, a glob, or - for standard input")
    if output is None and not dry_run:
        raise click.UsageError("-o FILE is needed: where the subset goes, or - for standard output")
    if as_json and output == "-" and not dry_run:
        raise click.UsageError("--json and -o - both want standard output: name a file with -o")
    # Late, so that --help does not wait for numpy, pyarrow and faiss.
    from tithe.cli.encoder import encoder_of
    from tithe.cli.progress import terminal_progress
    from tithe.cli.summary import summary, summary_lines
    from tithe.selection.corpus.storage import place_of
    from tithe.selection.forecast import forecast
    from tithe.selection.options import Options
    from tithe.selection.pipeline import select as run

    path = None if output in (None, "-") else place_of(output)
    options = Options(
        inputs=inputs,
        output=path,
        shards=output is not None and output.partition("?")[0].endswith("/"),
        encoder=encoder or ("features" if settings["task"] == "regression" else "lexical"),
        features=tuple(name.strip() for names in features for name in names.split(",")),
        **settings,
    )
    made = encoder_of(options)
    progress = terminal_progress(quiet=quiet)
    notify = teller(quiet=quiet)
    if dry_run:
        if options.engine != "local":
            raise click.UsageError("--dry-run looks at this machine only; leave --engine out")
        plan = forecast(options, made, stdin=standard_input(), progress=progress, notify=notify)
        if as_json:
            print_json("dry-run", plan.describe())
        else:
            for line in plan.lines():
                show(line)
        return
    stdout = standard_output() if path is None else None  # now: Ray gets another
    with executor_of(options) as executor:
        selections = run(
            options,
            made,
            executor=executor,
            stdin=standard_input(),
            stdout=stdout,
            progress=progress,
            notify=notify,
        )
    if as_json:
        print_json("select", summary(selections))
        return
    for line in summary_lines(selections):
        notify(line)
