"""`module:attribute` and installed packages: losses by the user's own Python code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tithe.selection.corpus.corpus import Corpus
from tithe.selection.errors import TitheError, UsageError
from tithe.selection.losses.base import Facts, LossSource, checked_loss, records_at
from tithe.selection.sizes import counted

# Records of a call, at most.
_BATCH = 256


class OwnLoss(LossSource):
    """Calls a function that takes a list of records and returns as many losses, or an object with a method `losses`.

    A class is called without arguments, and should make such an object. Records are dictionaries: the JSON object, or
    the row of a Parquet file. They come in the order of the corpus.
    """

    reads = "code"
    FACTS: ClassVar[Facts] = {"object": {"description": "python: the function or object.", "type": "string"}}

    def __init__(self, spec: str, given: Any) -> None:
        self._spec = spec
        self._function = _function(spec, given)
        self.asked = 0

    def losses(self, corpus: Corpus, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """What the user's code raises becomes a TitheError."""
        self.asked += len(rows)
        found: list[float] = []
        records = records_at(corpus, rows, None)
        while batch := list(islice(records, _BATCH)):
            with failing_as(self._spec):
                values = list(self._function([record for record, _ in batch]))
            if len(values) != len(batch):
                given = counted(len(values), "loss", "losses")
                raise TitheError(f"--loss {self._spec}: gave {given} for {counted(len(batch), 'record')}")
            for value, (_, place) in zip(values, batch, strict=True):
                # NumPy and PyTorch hand out numbers of their own kinds.
                number = value.item() if getattr(value, "ndim", None) == 0 else value
                found.append(checked_loss(number, f"the loss by {self._spec}", place))
        return np.array(found, np.float64)

    def describe(self) -> dict[str, Any]:
        return {"source": "python", "object": self._spec}


@contextmanager
def failing_as(spec: str) -> Iterator[None]:
    """What the user's code raises becomes a TitheError of one line, whose cause keeps the traceback."""
    try:
        yield
    except TitheError:
        raise
    except Exception as error:
        said = " ".join(str(error).split())
        raise TitheError(f"--loss {spec}: {type(error).__name__}{': ' if said else ''}{said}") from error


def _function(spec: str, given: Any) -> Callable[[list[dict[str, Any]]], Any]:
    if isinstance(given, type):
        with failing_as(spec):
            given = given()
    function = getattr(given, "losses", given)
    if not callable(function):
        raise UsageError(f"--loss {spec}: {type(given).__name__} is neither a function losses(records) nor has one")
    return function
