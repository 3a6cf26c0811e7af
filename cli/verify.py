"""`tithe verify`: whether a selection is still what its manifest says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tithe.cli.json_output import JSON, print_json
from tithe.cli.options import apply
from tithe.cli.recorded import ALLOW_CODE, CONDUCT, DRIFTED, MANIFEST, encoder_maker
from tithe.cli.terminal import show

if TYPE_CHECKING:
    from tithe.selection.corpus.storage import Place
    from tithe.selection.provenance.verify import Verification

_EXIT_CODES = {"holds": 0, "drifted": DRIFTED, "unknown": 1}


@click.command(context_settings={"max_content_width": 80})
@MANIFEST
@ALLOW_CODE
@apply([*JSON, *CONDUCT])
@click.pass_context
def verify(context: click.Context, manifest: Place, allow_code: bool, as_json: bool, quiet: bool) -> None:
    """Tell whether a subset is still what its manifest says.

    MANIFEST is the file OUT.manifest.json of `tithe select`. Checked are its own
    bytes, the inputs, the encoder and its weights, the options, the outputs, and
    whether the weights are unbiased by the probabilities of the rows file. Nothing
    is selected, and no code that the manifest names is run, unless allowed.

    Exit code 0: all holds; 3: something has drifted; 1: that cannot be told.

    \b
    tithe verify subset.parquet.manifest.json
    """
    # Late, so that --help does not wait for numpy and pyarrow.
    from tithe.cli.progress import terminal_progress
    from tithe.selection.provenance.verify import verify as run

    found = run(manifest, encoder_maker(allow_code=allow_code), progress=terminal_progress(quiet=quiet))
    if as_json:
        print_json("verify", {"manifest": str(manifest), **_document(found)})
    elif not quiet:
        for line in _lines(found):
            show(line)
    context.exit(_EXIT_CODES[found.state])


def _document(found: Verification) -> dict[str, Any]:
    from tithe.selection.provenance.verify import PARTS

    return {
        "state": found.state,
        "parts": {part: found.state_of(part) for part in PARTS},
        "findings": [{"part": f.part, "state": f.state, "detail": f.detail} for f in found.findings],
        "versions": {name: {"then": then, "now": now} for name, (then, now) in found.versions.items()},
    }


def _lines(found: Verification) -> list[str]:
    from tithe.selection.provenance.verify import PARTS

    words = {"holds": "holds", "drifted": "drifted", "unknown": "cannot be told"}
    lines = []
    for part in PARTS if found.examined else ("manifest",):
        lines.append(f"{part:<9} {words[found.state_of(part)]}")
        lines += [f"          {finding.detail}" for finding in found.findings if finding.part == part]
    lines += [f"version   {name} was {then}, is {now}" for name, (then, now) in found.versions.items()]
    return lines
