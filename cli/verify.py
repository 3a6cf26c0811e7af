"""`tithe verify`: whether a selection is still what its manifest says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tithe.cli.json_output import JSON, print_json
from tithe.cli.options import apply
from tithe.cli.recorded import ALLOW_CODE, ALLOW_READ, CONDUCT, DRIFTED, MANIFEST, encoder_maker
from tithe.cli.terminal import show

if TYPE_CHECKING:
    from tithe.selection.review.verify import Verification
    from tithe.selection.storage.places import Place

_EXIT_CODES = {"holds": 0, "drifted": DRIFTED, "unknown": 1}


@click.command(context_settings={"max_content_width": 80})
@MANIFEST
@ALLOW_READ
@ALLOW_CODE
@apply([*JSON, *CONDUCT])
@click.pass_context
def verify(
    context: click.Context,
    manifest: Place,
    allow_read: tuple[str, ...],
    allow_code: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Tell whether a subset is still what its manifest says.

    MANIFEST is the file OUT.manifest.json of `tithe select`, or the subset OUT
    beside it. Checked are its own bytes, the inputs, the encoder and its weights,
    the options, the outputs, and whether the weights are unbiased by the
    probabilities of the rows file. Nothing is selected. A manifest may be a
    stranger's: what it names outside its folder is read, and code that it names is
    run, only where that is allowed.

    Exit code 0: all holds; 3: something has drifted; 1: that cannot be told.

    \b
    tithe verify subset.parquet.manifest.json
    tithe verify out/subset.parquet --allow-read data
    """
    # Late, so that --help does not wait for numpy and pyarrow.
    from tithe.cli.progress import terminal_progress
    from tithe.selection.review.reach import Reach
    from tithe.selection.review.verify import verify as run

    reach = Reach.of(manifest, allow_read)
    maker = encoder_maker(reach, allow_code=allow_code)
    found = run(manifest, reach, maker, progress=terminal_progress(quiet=quiet))
    if as_json:
        print_json("verify", {"manifest": str(manifest), **_document(found)})
    elif not quiet:
        for line in _lines(found):
            show(line)
    context.exit(_EXIT_CODES[found.state])


def _document(found: Verification) -> dict[str, Any]:
    from tithe.selection.review.verify import PARTS

    return {
        "state": found.state,
        "parts": {part: found.state_of(part) for part in PARTS},
        "findings": [{"part": f.part, "state": f.state, "detail": f.detail} for f in found.findings],
        "versions": {name: {"then": then, "now": now} for name, (then, now) in found.versions.items()},
    }


def _lines(found: Verification) -> list[str]:
    from tithe.selection.review.verify import PARTS

    words = {"holds": "holds", "drifted": "drifted", "unknown": "cannot be told"}
    lines = []
    for part in PARTS if found.examined else ("manifest",):
        lines.append(f"{part:<9} {words[found.state_of(part)]}")
        lines += [f"          {finding.detail}" for finding in found.findings if finding.part == part]
    lines += [f"version   {name} was {then}, is {now}" for name, (then, now) in found.versions.items()]
    return lines
