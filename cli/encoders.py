"""`tithe encoders`: what `--encoder` can name here."""

from __future__ import annotations

import click


@click.command()
def encoders() -> None:
    """List the encoders that --encoder can name.

    The built-in ones, those of installed packages (entry-point group tithe.encoders), and your own.
    """
    from tithe.embedders.registry import BUILT_IN, installed

    rows = [(entry.usage, entry.summary) for entry in BUILT_IN.values()]
    rows += [(name, f"from the installed package: {value}") for name, value in sorted(installed().items())]
    rows.append(("module:attribute", "your own object with identity() and encode(texts), or a callable that makes one"))
    width = max(len(usage) for usage, _ in rows)
    for usage, summary in rows:
        click.echo(f"{usage:<{width}}  {summary}")
