"""JSON Lines, plain or compressed."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

import pyarrow as pa

from tithe.selection.corpus.corpus import Corpus
from tithe.selection.corpus.inputs import Compression
from tithe.selection.errors import UsageError, printable
from tithe.selection.storage.own_files import OwnPath
from tithe.selection.subset.exporters.base import Exporter, Subset


class JsonlExporter(Exporter):
    """Keeps every record's own text, where it came as JSON."""

    read_as = "jsonl"

    def check(self, corpus: Corpus) -> None:
        for field in corpus.schema or ():
            if (reason := _beyond_json(field.type, field.name)) is not None:
                raise UsageError(f"{corpus.files[0].path}: column {reason}, which JSON cannot hold; write .parquet")

    def write(self, subset: Subset, path: OwnPath, compression: Compression | None) -> None:
        with _compressed(path, compression) as out:
            for line in subset.json_lines(path.parent):
                out.write(line)


@contextmanager
def _compressed(path: OwnPath, compression: Compression | None) -> Iterator[BinaryIO]:
    with path.create() as file:
        if compression == "gzip":
            # No time and no name in the header: the same subset gives the same bytes.
            with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as out:
                yield cast(BinaryIO, out)
        elif compression is not None:
            with pa.CompressedOutputStream(pa.PythonFile(file, "w"), compression) as out:
                yield out
        else:
            yield file


_PLAIN: tuple[Callable[[pa.DataType], bool], ...] = (
    pa.types.is_null,
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
)


def _beyond_json(type_: pa.DataType, name: str) -> str | None:
    """The part of a column, and its type, that JSON has nothing for; None where there is no such part."""
    if any(holds(type_) for holds in _PLAIN):
        return None
    if pa.types.is_dictionary(type_):
        return _beyond_json(type_.value_type, name)
    if pa.types.is_struct(type_):
        return next((r for field in type_ if (r := _beyond_json(field.type, f"{name}.{field.name}"))), None)
    if pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_):
        return _beyond_json(type_.value_type, name)
    return f"{name!r} is of type {printable(str(type_))}"
