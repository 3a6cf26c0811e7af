"""The protocols: what an encoder must offer. Whatever has the methods fits; nothing needs to be inherited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from tithe.embedders.errors import EncoderError

Vectors = npt.NDArray[np.float32]

Reads = Literal["file", "model", "code"] | None


def in_float32(numbers: npt.NDArray[Any]) -> Vectors:
    """The same numbers; those that are beyond float32 become infinite, and are reported as such."""
    with np.errstate(over="ignore"):
        return numbers.astype(np.float32, copy=False)


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
    """Finds vectors that exist already, in fields of the record or under its row number.

    `fields` are the top-level fields that are read; none where the row number suffices. `rows` is the number of
    records that the encoder knows, or None where it follows the corpus.
    """

    def identity(self) -> Mapping[str, Any]: ...

    @property
    def fields(self) -> tuple[str, ...]: ...

    @property
    def rows(self) -> int | None: ...

    def lookup(self, rows: npt.NDArray[np.int64], values: Mapping[str, Any]) -> Vectors:
        """Return an array of shape (len(rows), d).

        `rows` are overall row numbers; `values` holds each of the fields of all records, as an Arrow array or a list.
        Raises UnusableRecords for records whose vector is missing or of another length.
        """
        ...


@runtime_checkable
class MeasuredEncoder(RecordEncoder, Protocol):
    """A record encoder that must see all records once, to know their scale, before it gives vectors.

    `identity()` is known before, since what is measured follows from the records.
    """

    def measure(self, values: Mapping[str, Any]) -> None:
        """See the fields of some more records. Raises UnusableRecords as `lookup` does."""
        ...


@dataclass(frozen=True)
class Request:
    """What a factory is asked for: SPEC is `name` or `name:argument`."""

    argument: str = ""
    device: str | None = None
    batch_size: int | None = None
    device_shared: bool = False
    """Whether the device was given for something else, too: then no encoder refuses it."""

    def refuse(self, name: str, *, argument: bool = True, hardware: bool = True) -> None:
        """Raise EncoderError for what the encoder `name` has no use for, rather than ignore it."""
        if argument and self.argument:
            raise EncoderError(f"--encoder {name}: takes no argument, {self.argument!r} was given")
        device = self.device is not None and not self.device_shared
        if hardware and (device or self.batch_size is not None):
            raise EncoderError(f"--encoder {name}: --device and --batch-size mean nothing to it; leave them out")


class BuiltIn(Protocol):
    """What a class needs to stand in the registry."""

    reads: ClassVar[Reads]
    """What the text after the colon names."""

    @classmethod
    def make(cls, request: Request) -> TextEncoder | RecordEncoder:
        """The encoder; raises EncoderError for what it cannot work with, or has no use for."""
        ...
