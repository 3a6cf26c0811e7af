"""The protocol of a loss source, and what a loss may be."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from tithe.selection.corpus import BadRecord, Corpus
from tithe.selection.errors import TitheError

Dtype = Literal["auto", "float32", "bfloat16", "float16"]

# Between these, and for 0, all steps compute without overflow, in float32 where they do; what is smaller tells nothing.
LARGEST_LOSS, SMALLEST_LOSS = 1e30, 1e-30


@dataclass(frozen=True, kw_only=True)
class LossRequest:
    """The options that concern a loss source, besides the specification that names it."""

    timeout: float = 600.0
    """Seconds that a command may be silent."""
    device: str | None = None
    """Where a model runs; None takes the best there is."""
    dtype: Dtype = "auto"
    """What a model calculates in."""
    text: tuple[str, ...] = ()
    template: str | None = None


class LossSource(Protocol):
    """Knows, or finds out, the loss of single records.

    `field` is the top-level field of the corpus that is read, if any; `asked` counts the losses asked for so far.
    """

    @property
    def field(self) -> str | None: ...

    @property
    def asked(self) -> int: ...

    def losses(self, corpus: Corpus, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Losses of the records at `rows` (overall, ascending), shape (len(rows),), finite and not negative.

        Raises TitheError naming the record whose loss cannot be used.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """For the manifest, after `losses`: JSON values that say where the losses are from."""
        ...


def checked_loss(value: Any, what: str, place: str) -> float:
    """A loss as a number; raises TitheError naming the place, and `what` it is, where it is none that can be used.

    `what` reads like "the loss in 'score'". What is positive and below SMALLEST_LOSS counts as 0.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TitheError(f"{place}: {what} is {value!r}, not a number")
    try:
        loss = float(value)
    except OverflowError:
        loss = math.inf
    if not math.isfinite(loss) or loss < 0:
        raise TitheError(f"{place}: {what} is {loss}; it must be finite and not negative")
    if loss > LARGEST_LOSS:
        raise TitheError(
            f"{place}: {what} is {loss:g}, and squares of more than {LARGEST_LOSS:g} overflow; divide all by one number"
        )
    return loss if loss >= SMALLEST_LOSS else 0.0


def records_at(
    corpus: Corpus, rows: npt.NDArray[np.int64], fields: Collection[str] | None
) -> Iterator[tuple[dict[str, Any], str]]:
    """The records at `rows` (overall, ascending) with their places; raises TitheError for one that cannot be read."""
    for batch in corpus.take(rows, fields):
        for i, record in enumerate(batch.records()):
            if isinstance(record, BadRecord):
                raise TitheError(f"{batch.place(i)}: {record.reason}")
            yield record, batch.place(i)
