"""What a shape of weights is. The base writes no weights, and each record once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tithe.selection.arrays import Floats
from tithe.selection.corpus.batch import Batch
from tithe.selection.corpus.corpus import Corpus
from tithe.selection.errors import UsageError

if TYPE_CHECKING:
    from tithe.selection.options.options import Options

Integers = npt.NDArray[np.int64]

_HUGGING_FACE = b"huggingface"


class CannotHold(Exception):
    """A record that cannot hold its weight; the message says why, and `at` which of a batch it is, where it is not
    plain."""

    def __init__(self, reason: str, at: int = 0) -> None:
        super().__init__(reason)
        self.at = at


@dataclass(frozen=True)
class Copying:
    """What decides how often each of s records comes."""

    weights: Floats
    """Positive, shape (s,)."""
    lines: int
    """How many there are to be together."""
    alike: Integers
    """A permutation of range(s); records near one another in it are alike."""
    tokens: Floats | None
    """Of each record, where the lines are to have as many together as is expected."""


class WeightShape:
    """How the subset holds the weights. A new one is a class in a file of its own and a line in the registry.

    It overrides what it does: `repeats`, where records come more or less often; or `line` for JSON, with `to_infer`,
    `schema` and `values` for Arrow, where they hold their weight.
    """

    weighs: ClassVar[bool] = False
    """Whether the records hold weights."""
    repeats_records: ClassVar[bool] = False
    """Whether records come several times, or not at all."""
    can_be_read_back: ClassVar[bool] = False
    """Whether `weight_in` finds the weight that a record got, as it was."""
    place: ClassVar[str] = ""
    """What the summary says of where the weights are."""

    def check(self, options: Options) -> None:
        """Raise UsageError for options that mean nothing to the shape, or contradict it."""
        name = f"--weights-as {options.shape}"
        if options.weight_scale is not None:
            raise UsageError(f"{name}: writes no weights; leave --weight-scale out")
        self.refuse_column(options)

    def refuse_column(self, options: Options) -> None:
        """Raise UsageError for a --weight-column, of a shape without one."""
        if options.is_given("weight_column"):
            raise UsageError(f"--weights-as {options.shape}: has no use for --weight-column; leave it out")

    def scale(self, wanted: str) -> str | None:
        """The scale of the weights in the records, sum or mean, where `wanted` is asked for; None without weights."""
        return None

    def column(self, name: str) -> str | None:
        """The column that the weights are in, of --weight-column NAME; None where there is none."""
        return None

    def check_corpus(self, corpus: Corpus, column: str) -> None:
        """Raise UsageError for records that cannot hold weights, as far as it can be told before the long work."""

    def repeats(self, copying: Copying, rng: np.random.Generator) -> Integers | None:
        """How often each record comes, shape (s,); None: once."""
        return None

    def line(self, line: bytes, record: dict[str, Any], weight: float, column: str) -> bytes:
        """A record's JSON with its weight, without a line end; `line` is as it came. Raises CannotHold."""
        return line

    def to_infer(self, record: dict[str, Any], weight: float, column: str) -> dict[str, Any]:
        """A JSON record as it is written, but for what `schema` adds. Raises CannotHold."""
        return record

    def schema(self, schema: pa.Schema, column: str, *, inferred: bool) -> pa.Schema:
        """The schema of the subset: of records with `schema`, or of what `to_infer` gave."""
        return schema

    def values(self, batch: Batch, name: str, weights: Floats, column: str) -> Any:
        """A column of the subset, of some records: an Arrow array, or a list. Raises CannotHold."""
        return batch.column(name)

    def weight_in(self, record: dict[str, Any], column: str) -> Any:
        """For `tithe verify`: the weight that a record of the subset holds."""
        raise NotImplementedError

    def faults(self, weights: Floats, copies: Integers) -> Iterator[str]:
        """For `tithe verify`: what cannot be so of the numbers of copies."""
        yield from ()


def described(schema: pa.Schema, add: Callable[[dict[str, Any]], None]) -> pa.Schema | None:
    """The schema where its metadata, too, have what `add` adds to the features that the library `datasets` keeps there.

    None where these are not what `datasets` writes.
    """
    metadata = schema.metadata
    if not metadata or _HUGGING_FACE not in metadata:
        return schema
    try:
        known = json.loads(metadata[_HUGGING_FACE])
        add(known["info"]["features"])
    except (ValueError, KeyError, TypeError, RecursionError, IndexError):
        return None
    return schema.with_metadata({**metadata, _HUGGING_FACE: json.dumps(known).encode()})


def undescribed(schema: pa.Schema) -> pa.Schema:
    """The schema without what `datasets` says of it: without that, it reads the schema itself."""
    return schema.with_metadata({key: value for key, value in schema.metadata.items() if key != _HUGGING_FACE})
