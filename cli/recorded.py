"""What the commands share that start from a manifest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from tithe.cli.options import DEBUG
from tithe.cli.places import MANIFEST_FILE, WORK_FOLDER

if TYPE_CHECKING:
    from tithe.selection.embedding.lookup import Encoder
    from tithe.selection.options.options import Options
    from tithe.selection.review.reach import Reach

# Something is not what the manifest says.
DRIFTED = 3

MANIFEST = click.argument("manifest", type=MANIFEST_FILE, metavar="MANIFEST")

ALLOW_READ = click.option(
    "--allow-read",
    multiple=True,
    metavar="NAME",
    help="Read this file, folder, URL or model, too, where the manifest names it outside its folder; repeatable.",
)

ALLOW_CODE = click.option("--allow-code", is_flag=True, help="Run the code that the manifest names.")

WORK_DIR = click.option(
    "--work-dir",
    type=WORK_FOLDER,
    metavar="DIR",
    help="Folder of kept embeddings and clusters.  [default: the user's cache folder]",
)

CONDUCT: list[Callable[[Any], Any]] = [
    click.option("--quiet", is_flag=True, help="No progress, no messages."),
    DEBUG,
]


def encoder_maker(reach: Reach, *, allow_code: bool) -> Callable[[Options], Encoder]:
    """From options to their encoder: files, models and the user's own code with consent only.

    It is to be called in the folder of the selection.
    """
    from pathlib import Path

    from tithe.cli.encoder import encoder_of
    from tithe.embedders.errors import EncoderError
    from tithe.embedders.registry import reads
    from tithe.selection.review.reach import model

    def make(options: Options) -> Encoder:
        kind = None if options.task == "regression" else reads(options.encoder)
        if kind == "code" and not allow_code:
            raise EncoderError(f"--encoder {options.encoder}: is code that the manifest names; --allow-code runs it")
        if kind in ("file", "model"):
            argument = options.encoder.partition(":")[2]
            named = Path(argument) if kind == "file" else model(argument)
            if not reach.covers(named):
                raise EncoderError(f"--encoder {options.encoder}: {reach.refusal([named])}")
        return encoder_of(options)

    return make


def check_losses(options: Mapping[str, Any], *, allow_code: bool) -> None:
    """Raise TitheError where the losses of recorded options come from code, and there is no consent to run it."""
    from tithe.selection.errors import TitheError
    from tithe.selection.losses.registry import reads

    for name in ("loss", "validation_loss"):
        spec = options[name]
        if spec is not None and reads(spec) == "code" and not allow_code:
            option = f"--{name.replace('_', '-')}"
            raise TitheError(f"{option} {spec}: is code that the manifest names; --allow-code runs it")
