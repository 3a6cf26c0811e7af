"""Files against the hashes that a manifest has of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tithe.selection.corpus.inputs import expand
from tithe.selection.engine.hashes import sha256
from tithe.selection.engine.stages import Advance
from tithe.selection.errors import TitheError, printable
from tithe.selection.review.findings import Finding, drifted, unknown
from tithe.selection.review.named import hashed
from tithe.selection.review.record import STDIN, Record
from tithe.selection.storage.places import Place, place_of, status_of


def check_inputs(record: Record, advance: Advance) -> Iterator[Finding]:
    """The corpus, and other files that were read. The current folder must be that of the selection."""
    beyond = record.reach.beyond(hashed(record))
    if beyond:
        yield unknown("inputs", record.reach.refusal(beyond))
    for file in record.manifest["inputs"]:
        if file["path"] == STDIN:
            yield unknown("inputs", "-: standard input cannot be read again")
    for file in (*record.manifest["inputs"], *record.manifest["other_inputs"]):
        if file["path"] != STDIN and record.reach.covers(place_of(file["path"])):
            yield from _check("inputs", place_of(file["path"]), file, "unknown", advance)
    if not beyond:
        yield from _check_names(record)


def check_outputs(record: Record, advance: Advance) -> Iterator[Finding]:
    """The subset, the rows and the clusters file, beside the manifest: not what a link there leads to elsewhere."""
    yield from _check_beside(record, record.manifest["outputs"], advance)


def require_outputs(record: Record) -> None:
    """Raise TitheError where an output is not the one that the manifest vouches for, or may not be read."""
    _require(record, record.manifest["outputs"])


def require_tables(record: Record) -> None:
    """The same of the rows and the clusters file."""
    _require(record, record.manifest["outputs"][-2:])


def _require(record: Record, outputs: list[dict[str, Any]]) -> None:
    for finding in _check_beside(record, outputs, lambda count: None):
        blame = f"; {record.path.name} vouches for it: run tithe select again"
        raise TitheError(finding.detail + (blame if finding.state == "drifted" else ""))


def _check_beside(record: Record, outputs: list[dict[str, Any]], advance: Advance) -> Iterator[Finding]:
    files = [(record.path.parent / output["path"], output) for output in outputs]
    beyond = record.reach.beyond(path for path, _ in files)
    if beyond:
        yield unknown("outputs", record.reach.refusal(beyond))
    for path, file in files:
        if record.reach.covers(path):
            yield from _check("outputs", path, file, "drifted", advance)


def _check(part: str, path: Place, recorded: dict[str, Any], missing: str, advance: Advance) -> Iterator[Finding]:
    name = printable(str(path if part == "inputs" else path.name))
    try:
        size = status_of(path).size
        same = size == recorded["size"] and sha256(path, advance) == recorded["sha256"]
    except FileNotFoundError:
        found = drifted if missing == "drifted" else unknown
        yield found(part, f"{name}: is not there")
        return
    except OSError as error:
        yield unknown(part, f"{name}: cannot be read ({error.strerror})")
        return
    if not same:
        yield drifted(part, f"{name}: is not what it was")


def _check_names(record: Record) -> Iterator[Finding]:
    """Whether folders and globs still stand for the same files."""
    names = [name for name in record.options["inputs"] if name != STDIN]
    before = [file["path"] for file in record.manifest["inputs"] if file["path"] != STDIN]
    try:
        now = [str(file.path) for file in expand(names, format=record.options["format"])]
    except TitheError:
        return  # a file is missing, as was said
    known = set(before)
    yield from (drifted("inputs", f"{printable(name)}: is new") for name in now if name not in known)
    if now != before and sorted(now) == sorted(before):
        yield drifted("inputs", "the files come in another order")
