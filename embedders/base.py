"""The protocols: what an encoder must offer. Whatever has the methods fits; nothing needs to be inherited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]


@runtime_checkable
class TextEncoder(Protocol):
    """Turns texts into vectors.

    `identity()` names the encoder, its options and the content of its weights, in values that JSON can hold: two
    encoders of equal identity give equal vectors. It is read after `fit`, where there is one.
    """

    def identity(self) -> Mapping[str, Any]: ...

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return an array of shape (len(texts), d); row i depends on `texts[i]` alone."""
        ...


@runtime_checkable
class FittedEncoder(TextEncoder, Protocol):
    """A text encoder that first learns from a sample of the corpus.

    `fit_records` says how many texts it wants to learn from at most, `fit_characters` how much it reads of each.
    """

    def recipe(self) -> Mapping[str, Any]:
        """What vectors depend on besides the texts and the seed of `fit`, in JSON values; known before `fit`."""
        ...

    @property
    def fit_records(self) -> int: ...

    @property
    def fit_characters(self) -> int: ...

    def fit(self, texts: Sequence[str], *, seed: int) -> None:
        """Learn from a seeded sample of the corpus's texts."""
        ...


@runtime_checkable
class RecordEncoder(Protocol):
    """Finds vectors that exist already, in a field of the record or under its row number.

    `field` is the top-level field that is read, or None where the row number suffices. `rows` is the number of
    records that the encoder knows, or None where it follows the corpus.
    """

    def identity(self) -> Mapping[str, Any]: ...

    @property
    def field(self) -> str | None: ...

    @property
    def rows(self) -> int | None: ...

    def lookup(self, rows: npt.NDArray[np.int64], values: Any) -> Vectors:
        """Return an array of shape (len(rows), d).

        `rows` are overall row numbers; `values` holds the field of each, as an Arrow array or a list, and is None
        where `field` is. Raises UnusableRecords for records whose vector is missing or of another length.
        """
        ...
