"""Formats of inputs; a line for each, whose words are the endings of the names of its files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tithe.embedders.entries import Entry, Registry

if TYPE_CHECKING:
    from tithe.selection.corpus.reader import Reader

INPUT_FORMATS: Registry[type[Reader]] = Registry(
    Entry("parquet", "tithe.selection.corpus.parquet:ParquetReader", ".parquet, .pq"),
    Entry("jsonl", "tithe.selection.corpus.jsonl:JsonlReader", ".jsonl, .ndjson"),
)

INPUT_SUFFIXES: dict[str, str] = {
    suffix: name for name, suffixes in INPUT_FORMATS.words.items() for suffix in suffixes.split(", ")
}
"""The format of each ending."""
