"""The protocol of a loss source, and what a loss may be."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from tithe.selection.corpus.batch import BadRecord
from tithe.selection.corpus.corpus import Corpus
from tithe.selection.errors import TitheError
from tithe.selection.options.choices import LARGEST_LOSS, SMALLEST_LOSS, Dtype


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


Facts = dict[str, dict[str, Any]]
"""Keys of the manifest, each with the JSON schema of its value."""

Reads = Literal["file", "model", "code"] | None


class LossSource:
    """Knows, or finds out, the loss of single records. A new one is a class in a file of its own, with `losses` and
    `describe`, and a line in the registry."""

    reads: ClassVar[Reads] = None
    """What the text after the colon names: a model has a use for a device, a number format and a text rule."""
    FACTS: ClassVar[Facts] = {}
    """For the schema of the manifest: what `describe` gives besides `source`, each with its JSON schema."""

    @property
    def field(self) -> str | None:
        """The top-level field of the corpus that is read, if any."""
        return None

    asked: int = 0
    """Losses asked for so far."""

    @classmethod
    def make(cls, argument: str, request: LossRequest) -> LossSource:
        """The source, from the text after the colon of the specification. Raises TitheError for what cannot work."""
        raise NotImplementedError

    def losses(self, corpus: Corpus, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Losses of the records at `rows` (overall, ascending), shape (len(rows),), finite and not negative.

        Raises TitheError naming the record whose loss cannot be used.
        """
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        """For the manifest, after `losses`: JSON values that say where the losses are from; `source` is the name."""
        raise NotImplementedError


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
