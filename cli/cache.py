"""`tithe cache`: what runs have kept for later runs."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tithe.cli.json_output import JSON, print_json
from tithe.cli.options import DEBUG, apply
from tithe.cli.places import WORK_FOLDER
from tithe.cli.size import Size
from tithe.cli.terminal import say, show
from tithe.selection.sizes import counted, readable

if TYPE_CHECKING:
    from tithe.selection.embedding.upkeep import Item

_WORK_DIR = click.option(
    "--work-dir",
    type=WORK_FOLDER,
    metavar="DIR",
    help="The folder.  [default: the user's cache folder]",
)


@click.group(context_settings={"max_content_width": 80})
def cache() -> None:
    """List, verify or prune the embeddings and clusters that are kept.

    Every selection keeps its embeddings, by the text that they are of, and its
    clusters; later runs find them again. All of it can be deleted at any time.
    """


@cache.command("list")
@_WORK_DIR
@apply([*JSON, DEBUG])
def list_(work_dir: Path | None, as_json: bool) -> None:
    """List what is kept: size, days since the last use, what it is, where."""
    from tithe.selection.embedding.upkeep import items

    folder = _folder(work_dir)
    found = items(folder) if folder.is_dir() else []
    if as_json:
        print_json("cache list", {"folder": str(folder), "items": [_described(item) for item in found]})
        return
    for item in found:
        days = (time.time() - item.used) / 86400
        name = Path(*item.path.parts)
        show(f"{readable(item.size):>10}  {days:5.1f} d  {item.kind:<10}  {item.describe():<40}  {name}")
    show(f"{readable(sum(item.size for item in found)):>10}  in {folder}")


@cache.command()
@_WORK_DIR
@apply(JSON)
@click.option("--quiet", is_flag=True, help="No progress, no summary.")
@apply([DEBUG])
def verify(work_dir: Path | None, as_json: bool, quiet: bool) -> None:
    """Check the checksum of all that is kept; exit 1 where any is wrong."""
    from tithe.cli.progress import terminal_progress
    from tithe.selection.embedding.upkeep import items
    from tithe.selection.embedding.upkeep import verify as run
    from tithe.selection.errors import TitheError

    folder = _folder(work_dir)
    total = sum(item.size for item in items(folder)) if folder.is_dir() else 0
    told: list[str] = []

    def notify(line: str) -> None:
        told.append(line)
        say(line)

    with terminal_progress(quiet=quiet)("verify", total, "bytes") as advance:
        damaged = run(folder, notify, advance)
    if as_json:
        print_json("cache verify", {"folder": str(folder), "bytes": total, "damaged": damaged, "details": told})
    if damaged:
        raise TitheError(f"{folder}: damage in {counted(damaged, 'place')}; later runs make it anew")
    if not (quiet or as_json):
        say(f"{folder}: {readable(total)}, all of it as it was written")


@cache.command()
@_WORK_DIR
@click.option("--unused-days", type=click.FloatRange(0, 1e6), metavar="N", help="Remove what was not used for N days.")
@click.option("--max-size", type=Size(), metavar="SIZE", help="Remove the longest unused beyond SIZE, as 500M or 10G.")
@click.option("--all", "everything", is_flag=True, help="Remove everything.")
@apply([*JSON, DEBUG])
def prune(
    work_dir: Path | None, unused_days: float | None, max_size: int | None, everything: bool, as_json: bool
) -> None:
    """Remove what is no longer needed.

    \b
    tithe cache prune --unused-days 30 --max-size 20G
    """
    from tithe.selection.embedding.upkeep import prune as run

    limited = unused_days is not None or max_size is not None
    if everything == limited:
        raise click.UsageError("give --unused-days, --max-size or both; or --all")
    folder = _folder(work_dir)
    gone = run(folder, unused_days=unused_days, max_size=max_size)
    if as_json:
        print_json("cache prune", {"folder": str(folder), "removed": [_described(item) for item in gone]})
        return
    say(f"removed {readable(sum(item.size for item in gone))} from {folder}")


def _described(item: Item) -> dict[str, Any]:
    used = datetime.fromtimestamp(item.used, timezone.utc).isoformat(timespec="seconds")
    name = str(Path(*item.path.parts))
    return {"path": name, "kind": item.kind, "bytes": item.size, "used": used, "description": item.describe()}


def _folder(work_dir: Path | None) -> Path:
    from tithe.selection.embedding.work_folder import default_folder
    from tithe.selection.errors import TitheError

    try:
        return default_folder() if work_dir is None else work_dir
    except RuntimeError as error:
        raise TitheError("there is no home folder, so no cache folder: name one with --work-dir") from error
