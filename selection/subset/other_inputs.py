"""Files besides the corpus that a selection depends on, as far as no other part of the manifest vouches for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tithe.selection.engine.hashes import sha256
from tithe.selection.losses.registry import reads
from tithe.selection.options.options import Options
from tithe.selection.storage.places import Place, place_of, status_of


def other_inputs(options: Options) -> list[tuple[str, Place]]:
    """Files of losses, the tokenizer, the rows files of earlier subsets: each with the option that names it."""
    specs = {"--loss": options.loss, "--validation-loss": options.validation_loss or "none"}
    found: list[tuple[str, Place]] = [
        (name, Path(spec.partition(":")[2])) for name, spec in specs.items() if reads(spec) == "file"
    ]
    tokenizer = Path(options.tokenizer or "", "tokenizer.json")
    if options.tokenizer is not None and tokenizer.is_file():
        found.append(("--tokenizer", tokenizer))
    return [*found, *(("--exclude", place_of(subset, ".rows.parquet")) for subset in options.exclude)]


def describe_other_inputs(options: Options) -> list[dict[str, Any]]:
    """For the manifest."""
    return [
        {"option": option, "path": str(path), "size": status_of(path).size, "sha256": sha256(path)}
        for option, path in other_inputs(options)
    ]
