"""From `--encoder SPEC` to an encoder: the built-in ones, those of installed packages, and the user's own."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal

from tithe.embedders.base import RecordEncoder, TextEncoder
from tithe.embedders.errors import EncoderError

Encoder = TextEncoder | RecordEncoder

ENTRY_POINTS = "tithe.encoders"

Reads = Literal["file", "model", "code"] | None


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


@dataclass(frozen=True)
class Entry:
    """A built-in encoder."""

    usage: str
    summary: str
    make: Callable[[Request], Encoder]
    reads: Reads
    """What the argument names."""


def _lexical(request: Request) -> Encoder:
    from tithe.embedders.lexical import LexicalEncoder

    request.refuse("lexical")
    return LexicalEncoder()


def _sentence_transformers(request: Request) -> Encoder:
    from tithe.embedders.sentence_transformers import SentenceTransformersEncoder

    if not request.argument:
        raise EncoderError("--encoder sentence-transformers: needs a model, as in sentence-transformers:FOLDER")
    return SentenceTransformersEncoder(request.argument, device=request.device, batch_size=request.batch_size or 32)


def _column(request: Request) -> Encoder:
    from tithe.embedders.column import ColumnEncoder

    request.refuse("column", argument=False)
    if not request.argument:
        raise EncoderError("--encoder column: needs the name of a field, as in column:embedding")
    return ColumnEncoder(request.argument)


def _npy(request: Request) -> Encoder:
    from tithe.embedders.npy import NpyEncoder

    request.refuse("npy", argument=False)
    if not request.argument:
        raise EncoderError("--encoder npy: needs a file, as in npy:embeddings.npy")
    return NpyEncoder(Path(request.argument))


BUILT_IN = {
    "lexical": Entry(
        "lexical", "n-gram TF-IDF and truncated SVD, fitted on the corpus; no download", _lexical, reads=None
    ),
    "sentence-transformers": Entry(
        "sentence-transformers:NAME_OR_FOLDER",
        "a neural encoder (extra: sentence-transformers)",
        _sentence_transformers,
        reads="model",
    ),
    "column": Entry("column:FIELD", "vectors that lie in the corpus: lists of numbers", _column, reads=None),
    "npy": Entry("npy:FILE", "vectors in a NumPy file, a row for each record in input order", _npy, reads="file"),
}


def reads(spec: str) -> Reads:
    """What the encoder that SPEC names reads besides the corpus; code, where it is none of the built-in ones."""
    name = spec.partition(":")[0]
    return BUILT_IN[name].reads if name in BUILT_IN else "code"


def installed() -> dict[str, str]:
    """Encoders that installed packages bring (entry-point group `tithe.encoders`): name and `module:attribute`."""
    return {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}


def make_encoder(
    spec: str, *, device: str | None = None, device_shared: bool = False, batch_size: int | None = None
) -> Encoder:
    """Make the encoder that SPEC names.

    SPEC is a built-in name, a name from the entry-point group (a callable that takes the text after the colon), or
    `module:attribute`: an encoder, or a callable without arguments that returns one; the module may lie in the
    current folder. An encoder without a use for the device refuses it, unless it is shared with something else.
    Raises EncoderError.
    """
    name, _, argument = spec.partition(":")
    request = Request(argument, device, batch_size, device_shared)
    if name in BUILT_IN:
        return BUILT_IN[name].make(request)
    request.refuse(spec, argument=False)
    points = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if name in points:
        return _fitting(spec, points[name].load()(argument))
    if not argument:
        known = sorted([*BUILT_IN, *points])
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}, and module:attribute"
        raise EncoderError(f"--encoder {spec}: no such encoder; {hint}")
    return _fitting(spec, _imported(spec, name, argument))


def _imported(spec: str, module: str, attribute: str) -> Any:
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)  # a console script does not look there, and the user's module usually lies there
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise EncoderError(f"--encoder {spec}: there is no module {error.name!r}") from error
    try:
        value = getattr(found, attribute)
    except AttributeError as error:
        raise EncoderError(f"--encoder {spec}: module {module} has no {attribute!r}") from error
    return value() if isinstance(value, type) or not _fits(value) else value


def _fitting(spec: str, encoder: Any) -> Encoder:
    if not _fits(encoder):
        raise EncoderError(
            f"--encoder {spec}: {type(encoder).__name__} is no encoder, which has identity() and encode(texts)"
        )
    return encoder


def _fits(value: Any) -> bool:
    return isinstance(value, TextEncoder | RecordEncoder)
