"""`file:PATH`: losses that somebody computed before, by overall row."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tithe.embedders.reading import check_regular
from tithe.selection.corpus.batch import BadRecord
from tithe.selection.corpus.corpus import Corpus, open_corpus
from tithe.selection.errors import TitheError
from tithe.selection.losses.base import Facts, LossRequest, LossSource, checked_loss
from tithe.selection.sizes import counted
from tithe.selection.storage.object_store import is_url, shown


class FileLoss(LossSource):
    """Reads JSONL or Parquet with the fields `row` (overall row, from 0) and `loss`; more rows may stand there."""

    reads = "file"
    FACTS: ClassVar[Facts] = {
        "path": {"description": "file: the file; see other_inputs for its hash.", "type": "string"}
    }

    def __init__(self, path: str) -> None:
        try:  # now, not after the long work
            check_regular(Path(path))
        except FileNotFoundError as error:
            where = " on this machine" if is_url(path) else ""
            raise TitheError(f"--loss file:{shown(path)}: no such file{where}") from error
        except OSError as error:
            raise TitheError(f"--loss file:{shown(path)}: {error.strerror}") from error
        self._path = path
        self.asked = 0

    @classmethod
    def make(cls, argument: str, request: LossRequest) -> FileLoss:
        return cls(argument)

    def losses(self, corpus: Corpus, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Raises TitheError for rows without a loss, and for rows with two."""
        self.asked += len(rows)
        found = np.full(len(rows), np.nan)
        with TemporaryDirectory(prefix="tithe-") as spool:
            for batch in open_corpus([self._path], spool=Path(spool)).batches(("row", "loss")):
                for i, record in enumerate(batch.records()):
                    if isinstance(record, BadRecord):
                        raise TitheError(f"{batch.place(i)}: {record.reason}")
                    row = record.get("row")
                    if isinstance(row, bool) or not isinstance(row, int) or row < 0:
                        raise TitheError(f"{batch.place(i)}: 'row' is {row!r:.100}, not the number of a record")
                    at = int(np.searchsorted(rows, row))
                    if at == len(rows) or rows[at] != row:
                        continue
                    if not np.isnan(found[at]):
                        raise TitheError(f"{batch.place(i)}: a second loss for row {row}")
                    found[at] = checked_loss(record.get("loss"), "the loss in 'loss'", batch.place(i))
        missing = np.flatnonzero(np.isnan(found))
        if len(missing):
            first = int(rows[missing[0]])
            raise TitheError(
                f"{self._path}: has no loss for {len(missing)} of {counted(len(rows), 'centre')}; the first is row "
                f"{first} ({corpus.place(first)})"
            )
        return found

    def describe(self) -> dict[str, Any]:
        return {"source": "file", "path": self._path}
