"""Formats in which a subset is written; a line for each, whose words are the endings of the names of its files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tithe.embedders.entries import Entry, Registry

if TYPE_CHECKING:
    from tithe.selection.subset.exporters.base import Exporter

EXPORTERS: Registry[type[Exporter]] = Registry(
    Entry("parquet", "tithe.selection.subset.exporters.parquet:ParquetExporter", ".parquet"),
    Entry("jsonl", "tithe.selection.subset.exporters.jsonl:JsonlExporter", ".jsonl, .jsonl.gz, .jsonl.zst"),
)

SUFFIXES: dict[str, str] = {
    suffix: name for name, suffixes in EXPORTERS.words.items() for suffix in suffixes.split(", ")
}
"""The format of each ending."""
