"""What the commands share that start from a manifest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from tithe.cli.options import DEBUG
from tithe.cli.places import PLACE, WORK_FOLDER

if TYPE_CHECKING:
    from tithe.selection.embedded import Encoder
    from tithe.selection.options import Options

# Something is not what the manifest says.
DRIFTED = 3

MANIFEST = click.argument("manifest", type=PLACE, metavar="MANIFEST")

ALLOW_CODE = click.option("--allow-code", is_flag=True, help="Run the code that the manifest names.")

WORK_DIR = click.option(
    "--work-dir",
    type=WORK_FOLDER,
    metavar="DIR",
    help="Folder of kept embeddings and clusters.  [default: as recorded]",
)

CONDUCT: list[Callable[[Any], Any]] = [
    click.option("--quiet", is_flag=True, help="No progress, no messages."),
    DEBUG,
]


def encoder_maker(*, allow_code: bool) -> Callable[[Options], Encoder]:
    """From options to their encoder; the user's own code only with consent: a manifest may be a stranger's."""
    from tithe.cli.encoder import encoder_of
    from tithe.embedders.errors import EncoderError
    from tithe.embedders.registry import BUILT_IN, installed

    def make(options: Options) -> Encoder:
        known = options.task == "regression" or options.encoder.partition(":")[0] in {*BUILT_IN, *installed()}
        if not (known or allow_code):
            raise EncoderError(f"--encoder {options.encoder}: is code that the manifest names; --allow-code runs it")
        return encoder_of(options)

    return make


def check_losses(options: Mapping[str, Any], *, allow_code: bool) -> None:
    """Raise TitheError where the losses of recorded options come from code, and there is no consent to run it."""
    from tithe.selection.errors import TitheError
    from tithe.selection.losses.registry import runs_code

    for name in ("loss", "validation_loss"):
        spec = options[name]
        if spec is not None and runs_code(spec) and not allow_code:
            option = f"--{name.replace('_', '-')}"
            raise TitheError(f"{option} {spec}: is code that the manifest names; --allow-code runs it")
