"""make_report(): the steps in order."""

from __future__ import annotations

from pathlib import Path

from tithe.selection.errors import UsageError
from tithe.selection.review.record import Record
from tithe.selection.review.report.content import page
from tithe.selection.review.report.files import open_selection
from tithe.selection.review.report.render import load_template, render
from tithe.selection.storage.atomic import check_target, write_atomically
from tithe.selection.storage.own_files import OwnPath


def make_report(record: Record, output: Path, *, overwrite: bool) -> None:
    """Write the page about the selection that a manifest describes to `output`, whole or not at all.

    Raises TitheError where the extra is missing, a file that the manifest names is not what it should be, or the output
    exists and may not be overwritten; UsageError where the output is one of those files.
    """
    template = load_template()
    check_target(output, overwrite=overwrite)
    files = open_selection(record)
    if output.resolve() in {file.resolve() for file in files.paths()}:
        raise UsageError(f"{output}: is a file of the selection; choose another name for the page")
    write_atomically(OwnPath.of(output), render(template, page(files)))
