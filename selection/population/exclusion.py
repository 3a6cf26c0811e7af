"""`--exclude`: the records that earlier subsets of the same corpus took."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tithe.selection.corpus.inputs import InputFile
from tithe.selection.corpus.parquet import read_parquet
from tithe.selection.errors import TitheError, first_line
from tithe.selection.storage.object_store import shown
from tithe.selection.storage.places import Place, open_binary, place_of, status_of


def excluded_rows(subsets: Sequence[str], digests: Sequence[str]) -> npt.NDArray[np.int64]:
    """Overall rows of the records of earlier subsets, ascending.

    Args:
        subsets: paths of subsets, each with its rows file and manifest beside it.
        digests: SHA-256 of the inputs of this run, in order: rows of another corpus would mean other records.

    Raises TitheError where a file is missing or the subset was drawn from other inputs.
    """
    found = [np.empty(0, np.int64)]
    for subset in subsets:
        manifest, rows = place_of(subset, ".manifest.json"), place_of(subset, ".rows.parquet")
        subset = shown(subset)
        try:
            with open_binary(manifest) as content:
                inputs = [file["sha256"] for file in json.loads(content.read())["inputs"]]
            found.append(_rows(rows))
        except OSError as error:
            reason = error.strerror or "cannot be read"
            raise TitheError(
                f"--exclude {subset}: its rows file and manifest must lie beside it; {error.filename or rows}: {reason}"
            ) from error
        except (ValueError, KeyError, TypeError, RecursionError, pa.ArrowException) as error:
            raise TitheError(f"--exclude {subset}: {manifest} or {rows} is damaged ({first_line(error)})") from error
        if inputs != list(digests):
            raise TitheError(f"--exclude {subset}: was drawn from other inputs, or from these in another order")
    return np.unique(np.concatenate(found))


def _rows(path: Place) -> npt.NDArray[np.int64]:
    """The column `row` of a rows file; raises TypeError where it holds no integers."""
    status = status_of(path)
    file = InputFile(path, "parquet", None, status.size, status.modified)
    found = [np.empty(0, np.int64)]
    for batch in read_parquet(file, 0, ("row",)):
        column = batch.column("row")
        if not pa.types.is_integer(column.type) or column.null_count:
            raise TypeError("'row' holds something else than integers")
        found.append(column.to_numpy().astype(np.int64))
    return np.concatenate(found)
