"""The options that several commands have: what the corpus is, and how it is clustered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from tithe.cli.config_file import use_config
from tithe.cli.places import WORK_FOLDER

_Command = TypeVar("_Command", bound=Callable[..., Any])


def apply(options: list[Callable[[Any], Any]]) -> Callable[[_Command], _Command]:
    """A decorator that adds options in the order in which help lists them."""

    def decorate(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def _fractions(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> tuple[float, ...]:
    try:
        return tuple(float(part) for text in given for part in text.split(","))
    except ValueError:
        raise click.BadParameter(f"{','.join(given)}: numbers are needed", context, parameter) from None


_DEBUGGING = "tithe.debug"


def _debugging(context: click.Context, parameter: click.Parameter, given: bool) -> None:
    context.meta[_DEBUGGING] = given


def is_debugging() -> bool:
    """Whether the command that runs was given --debug."""
    return bool(click.get_current_context().meta.get(_DEBUGGING))


DEBUG = click.option(
    "--debug", is_flag=True, expose_value=False, callback=_debugging, help="Show a traceback when something fails."
)

INPUTS: list[Callable[[Any], Any]] = [
    click.argument("inputs", nargs=-1, metavar="INPUT..."),
    click.option(
        "--format", type=click.Choice(["parquet", "jsonl"]), help="Format of the inputs.  [default: by suffix]"
    ),
    click.option("--text", multiple=True, metavar="FIELD", help="Field of the text; repeatable, dotted paths."),
    click.option("--template", metavar="TEXT", help="The text by a template: '{instruction}\\n{output}'."),
    click.option(
        "--on-bad-record",
        type=click.Choice(["fail", "skip"]),
        default="fail",
        show_default=True,
        help="Unusable records.",
    ),
]

CLUSTERS: list[Callable[[Any], Any]] = [
    click.option("--encoder", metavar="SPEC", help="See 'tithe encoders' for what there is.  [default: lexical]"),
    click.option(
        "--device",
        metavar="NAME",
        help="Device of neural encoders and of model: losses.  [default: cuda, then mps, then cpu]",
    ),
    click.option("--batch-size", type=click.IntRange(min=1), metavar="N", help="Batch size of a neural encoder."),
    click.option("--normalize/--no-normalize", default=True, help="Bring embeddings to unit length.  [default: yes]"),
    click.option(
        "--method",
        type=click.Choice(["sensitivity", "low-rank", "uniform", "k-center", "auto"]),
        default="sensitivity",
        show_default=True,
        help="How records are judged: by their cluster's loss and their distance; by leading directions; all alike; "
        "the farthest from one another; the better of the first two.",
    ),
    click.option("--rank", type=int, metavar="R", help="Directions of low-rank.  [default: those of 90% of the norms]"),
    click.option("--clusters", type=int, metavar="K", help="Clusters.  [default: √records, at most half the budget]"),
    click.option("--epsilon", type=float, metavar="E", help="Budget K + ⌈1/E²⌉ records.  [default: 0.05]"),
    click.option("--size", type=int, metavar="N", help="Budget: this many records."),
    click.option(
        "--fraction",
        multiple=True,
        callback=_fractions,
        metavar="F,...",
        help="Budget: this share of the records; of several, nested subsets FILE-F.",
    ),
    click.option("--tokens", type=int, metavar="N", help="Budget: records of this many tokens together."),
    click.option("--token-column", metavar="FIELD", help="Tokens of each record.  [default: estimated by characters]"),
    click.option("--tokenizer", metavar="NAME", help="Count tokens with this, of the hub or in a folder."),
    click.option(
        "--cluster-seed",
        type=int,
        default=0,
        show_default=True,
        metavar="N",
        help="Seed of the encoder's fit, the clusters and the records of --validate.",
    ),
    click.option(
        "--work-dir",
        type=WORK_FOLDER,
        metavar="DIR",
        help="Embeddings and clusters are kept here, and found again.  [default: the user's cache folder]",
    ),
    click.option(
        "--store-dtype",
        type=click.Choice(["float16", "float32"]),
        help="Numbers of the embeddings kept.  [default: float16, with --no-normalize float32]",
    ),
]

ENGINE: list[Callable[[Any], Any]] = [
    click.option(
        "--engine",
        type=click.Choice(["local", "ray"]),
        default="local",
        show_default=True,
        help="Where the work is done: in this process; on the Ray cluster of RAY_ADDRESS, or one on this machine "
        "(extra: ray).",
    ),
    click.option("--num-gpus", type=float, metavar="G", help="GPUs of each worker of ray that encodes, such as 0.5."),
]

CONDUCT: list[Callable[[Any], Any]] = [
    click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        is_eager=True,
        expose_value=False,
        callback=use_config,
        metavar="FILE.toml",
        help="Options from a file; those given here win.",
    ),
    click.option("--force", is_flag=True, help="Overwrite outputs that exist."),
    click.option("--quiet", is_flag=True, help="No progress, no summary."),
    DEBUG,
]
