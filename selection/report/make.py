"""make_report(): the steps in order."""

from __future__ import annotations

from pathlib import Path

from tithe.selection.errors import UsageError
from tithe.selection.own_files import OwnPath
from tithe.selection.provenance.record import Record
from tithe.selection.report.content import page
from tithe.selection.report.files import open_selection
from tithe.selection.report.render import load_template, render
from tithe.selection.whole import check_target, write_whole


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
    write_whole(OwnPath.of(output), render(template, page(files)))
