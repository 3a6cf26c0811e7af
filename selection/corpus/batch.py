"""A run of records from one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tithe.selection.sizes import readable

# Records of a batch, at most; bytes of text are bounded by the readers.
BATCH_ROWS = 8192


@dataclass(frozen=True)
class BadRecord:
    """Stands in for a record that cannot be read."""

    reason: str


def too_large(limit: int) -> BadRecord:
    """Stands in for a record of more than `limit` bytes."""
    return BadRecord(f"is larger than {readable(limit)}; --max-record-size allows more")


class Batch(Protocol):
    """A run of records from one file; `rows` are their overall numbers, ascending, shape (len,)."""

    @property
    def rows(self) -> npt.NDArray[np.int64]: ...

    def __len__(self) -> int: ...

    def records(self) -> Sequence[dict[str, Any] | BadRecord]:
        """The records as Python objects, with at least the fields that were asked for."""
        ...

    def invalid(self) -> Mapping[int, str]:
        """Positions in the batch of records that cannot be read, with the reason."""
        ...

    def column(self, name: str) -> Any:
        """One top-level field of all records: an Arrow array, or a list with None where it is missing."""
        ...

    def place(self, i: int) -> str:
        """Where record i is from, for an error message."""
        ...

    def select(self, positions: npt.NDArray[np.int64]) -> Batch:
        """The records at some positions, ascending."""
        ...
