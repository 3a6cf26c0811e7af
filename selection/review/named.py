"""What a manifest names outside itself; but for the encoder, whose files only its registry knows.

The current folder must be that of the selection.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

from tithe.selection.errors import TitheError
from tithe.selection.losses.registry import reads
from tithe.selection.review.reach import Named, model
from tithe.selection.review.record import STDIN, Record
from tithe.selection.storage.object_store import ObjectUrl
from tithe.selection.storage.places import Place, place_of


def hashed(record: Record) -> Iterator[Place]:
    """Files whose hashes are recorded, after the files and folders of the INPUTs."""
    files = [*record.manifest["inputs"], *record.manifest["other_inputs"]]
    yield from (_searched(place_of(name)) for name in record.options["inputs"] if name != STDIN)
    yield from (place_of(file["path"]) for file in files if file["path"] != STDIN)


def check_reach(record: Record, *, models: bool) -> None:
    """Raise TitheError, before anything is read, where a selection would read what the user did not name.

    Args:
        record: what was recorded.
        models: whether models of losses are to be run again.
    """
    found = record.reach.beyond([*hashed(record), *_others(record, models)])
    if found:
        raise TitheError(f"{record.path.name}: {record.reach.refusal(found)}")


def _others(record: Record, models: bool) -> Iterator[Named]:
    options = record.options
    for spec in (options["loss"], options["validation_loss"] or "none"):
        _, _, argument = spec.partition(":")
        if reads(spec) == "file":
            yield Path(argument)
        elif reads(spec) == "model" and models:
            yield model(argument)
    for subset in options["exclude"]:
        yield from (place_of(subset, ending) for ending in (".rows.parquet", ".manifest.json"))
    if options["tokenizer"] is not None:
        yield model(options["tokenizer"])


def _searched(place: Place) -> Place:
    """Of a glob, the folder in which it is looked for."""
    name = place.key if isinstance(place, ObjectUrl) else str(place)
    if not glob.has_magic(name) or (isinstance(place, Path) and os.path.lexists(place)):
        return place
    folder = [*takewhile(lambda part: not glob.has_magic(part), name.split("/"))]
    return place.with_key("/".join(folder)) if isinstance(place, ObjectUrl) else Path("/".join([*folder, ""]))
