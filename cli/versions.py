"""`tithe versions`: what the bytes of a selection depend on here, besides its inputs and options."""

from __future__ import annotations

import click

from tithe.cli.json_output import JSON, print_json
from tithe.cli.options import DEBUG, apply
from tithe.cli.terminal import show


@click.command(context_settings={"max_content_width": 80})
@apply([*JSON, DEBUG])
def versions(as_json: bool) -> None:
    """List the versions that a selection depends on.

    Those of tithe, Python and the libraries, as a manifest has them. A build keeps
    them in a file, and selects again when that changes.

    \b
    tithe versions
    """
    from tithe.selection.subset.manifest import versions as run

    found = run()
    if as_json:
        print_json("versions", {"versions": found})
        return
    for name, version in found.items():
        show(f"{name} {version}")
