"""What comes in: files, records, texts."""

from __future__ import annotations

from tithe.selection.corpus.batch import BadRecord, Batch
from tithe.selection.corpus.corpus import Corpus, check_field, open_corpus
from tithe.selection.corpus.inputs import Compression, Format, InputFile
from tithe.selection.corpus.jsonl import JsonlBatch
from tithe.selection.corpus.parquet import ParquetBatch
from tithe.selection.corpus.text import BadText, TextRule, choose_rule

__all__ = [
    "BadRecord",
    "BadText",
    "Batch",
    "Compression",
    "Corpus",
    "Format",
    "InputFile",
    "JsonlBatch",
    "ParquetBatch",
    "TextRule",
    "check_field",
    "choose_rule",
    "open_corpus",
]
