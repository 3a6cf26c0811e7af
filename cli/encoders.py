"""`tithe encoders`: what `--encoder` can name here."""

from __future__ import annotations

import click

from tithe.cli.json_output import JSON, print_json
from tithe.cli.options import DEBUG, apply
from tithe.cli.terminal import show


@click.command(context_settings={"max_content_width": 80})
@apply([*JSON, DEBUG])
def encoders(as_json: bool) -> None:
    """List the encoders that --encoder can name.

    The built-in ones, those of installed packages (entry-point group tithe.encoders), and your own.
    """
    from tithe.embedders.registry import installed, usages

    rows = usages()
    rows += [(name, f"from the installed package: {value}") for name, value in sorted(installed().items())]
    rows.append(("module:attribute", "your own object with identity() and encode(texts), or a callable that makes one"))
    if as_json:
        print_json("encoders", {"encoders": [{"usage": usage, "summary": summary} for usage, summary in rows]})
        return
    width = max(len(usage) for usage, _ in rows)
    for usage, summary in rows:
        show(f"{usage:<{width}}  {summary}")
