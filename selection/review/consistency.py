"""What the schema of manifests cannot say: which of its values go together."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from tithe.selection.errors import UsageError, printable
from tithe.selection.options.options import Options
from tithe.selection.storage.places import place_of
from tithe.selection.subset.outputs import Outputs
from tithe.selection.subset.shard_names import is_shard

# Characters of the name of a file, at most.
_LONGEST_NAME = 4096


def contradiction(manifest: dict[str, Any]) -> str | None:
    """What first does not go together in a manifest that fits its schema; None where all does."""
    return next(_contradictions(manifest), None)


def _contradictions(manifest: dict[str, Any]) -> Iterator[str]:
    options = manifest["options"]
    for name in _names(manifest):
        if not _is_name(name):
            yield f"{printable(name[:100])!r} is no name of a file"
    try:
        Options.from_recorded(options, output=None if options["output"] == "-" else place_of(options["output"]))
        yield from _outputs_differ(manifest)
    except UsageError as error:
        yield f"options: {error}"
    if sum(file["rows"] for file in manifest["inputs"]) != manifest["rows"]:
        yield "rows: is not the sum of those of the inputs"
    if manifest["n"] + manifest["bad_records"]["count"] != manifest["rows"]:
        yield "n: is not rows without the bad records"
    if not manifest["k"] <= manifest["n"]:
        yield "k: is more than n"
    for key, asked in (
        ("tokens", options["tokens"] is not None),
        ("groups", options["group_by"] is not None),
        ("nested", len(options["fraction"]) > 1),
        ("duplicates", options["dedup"] or options["dedup_near"] is not None),
    ):
        if (manifest[key] is not None) != asked:
            yield f"{key}: is {'missing' if asked else 'there'}, and the options {'' if asked else 'do not '}ask for it"
    for key in ("lengths", "losses"):
        if not _is_histogram(manifest["evidence"][key]):
            yield f"evidence.{key}: edges and counts do not belong together"


def _outputs_differ(manifest: dict[str, Any]) -> Iterator[str]:
    """Whether the outputs are those that a run with these options writes."""
    outputs, options, nested = manifest["outputs"], manifest["options"], manifest["nested"]
    if options["output"] == "-":
        yield "options.output: is -, which has no manifest"
        return
    written = Outputs.named(place_of(options["output"]), options["fraction"], shards=options["shards"])
    names = [place.name for place in written.subsets]
    subset, *shards = Path(outputs[0]["path"]).parts
    if subset not in names or (nested is not None and nested["subset"] != subset):
        yield f"outputs: {printable(subset)!r} is not what the options call the subset"
    expected = [f"{subset}.rows.parquet", f"{subset}.clusters.parquet"]
    if [output["path"] for output in outputs[-2:]] != expected:
        yield "outputs: the last two are not the rows and the clusters file of the subset"
    parts = [output["path"].partition("/") for output in outputs[:-2]]
    if any(folder != subset or bool(name) != options["shards"] for folder, _, name in parts):
        yield "outputs: are not files of the subset"
    if shards and not all(is_shard(name) for _, _, name in parts):
        yield "outputs: are not shards of the subset"
    if len(parts) > 1 and not shards:
        yield "outputs: are more than the subset"
    if "lines" not in outputs[0]:
        yield "outputs: nothing says how many lines the subset has"


def _names(manifest: dict[str, Any]) -> Iterator[str]:
    options = manifest["options"]
    yield from (options["output"], options["loss"], options["encoder"], manifest["run"]["folder"])
    yield from (*options["inputs"], *options["exclude"])
    yield from (options[name] for name in ("validation_loss", "tokenizer", "work_dir") if options[name] is not None)
    yield from (file["path"] for key in ("inputs", "other_inputs", "outputs") for file in manifest[key])


def _is_name(name: str) -> bool:
    try:
        return name != "" and len(name) <= _LONGEST_NAME and b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:
        return False


def _is_histogram(given: dict[str, Any] | None) -> bool:
    if given is None:
        return True
    edges, corpus, subset = given["edges"], given["corpus"], given["subset"]
    return len(edges) == len(corpus) + 1 == len(subset) + 1 > 1 and all(a <= b for a, b in pairwise(edges))
