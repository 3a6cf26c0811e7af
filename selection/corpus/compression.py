"""Byte streams out of plain and compressed files."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pyarrow as pa

from tithe.selection.corpus.inputs import InputFile
from tithe.selection.errors import TitheError, first_line
from tithe.selection.storage.places import open_for_arrow

CHUNK = 4 << 20


def chunks(file: InputFile) -> Iterator[bytes]:
    """The content of a file, decompressed, in pieces of at most CHUNK bytes.

    Several members or frames, one after the other, are one content. Raises TitheError where the file is
    truncated, damaged, changed or gone.
    """
    file.check_unchanged()
    compression = None if file.spooled else file.compression
    if compression and file.size == 0:
        raise TitheError(f"{file.path}: is empty, which no {compression} file is: truncated?")
    at, end = file.part or (0, sys.maxsize)
    try:
        with open_for_arrow(file.readable) as source:
            source.seek(at)
            stream = pa.input_stream(source, compression, CHUNK)
            while chunk := stream.read(min(CHUNK, end - at)):
                at += len(chunk)
                yield chunk
    except MemoryError as error:
        raise TitheError(
            f"{file.path}: is damaged, or needs more memory than there is ({first_line(error)})"
        ) from error
    except (OSError, pa.ArrowException) as error:
        raise file.unreadable(error, "truncated or damaged") from error
    file.check_unchanged()
