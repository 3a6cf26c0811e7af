"""From `--encoder SPEC` to an encoder: the built-in ones, those of installed packages, and the user's own."""

from __future__ import annotations

import difflib
import importlib
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from tithe.embedders.base import BuiltIn, Reads, RecordEncoder, Request, TextEncoder
from tithe.embedders.entries import Entry, Registry
from tithe.embedders.errors import EncoderError

Encoder = TextEncoder | RecordEncoder

ENTRY_POINTS = "tithe.encoders"

BUILT_IN: Registry[type[BuiltIn]] = Registry(
    Entry(
        "lexical",
        "tithe.embedders.lexical:LexicalEncoder",
        "lexical n-gram TF-IDF and truncated SVD, fitted on the corpus; no download",
    ),
    Entry(
        "sentence-transformers",
        "tithe.embedders.sentence_transformers:SentenceTransformersEncoder",
        "sentence-transformers:NAME_OR_FOLDER a neural encoder (extra: sentence-transformers)",
    ),
    Entry(
        "column",
        "tithe.embedders.column:ColumnEncoder",
        "column:FIELD vectors that lie in the corpus: lists of numbers",
    ),
    Entry(
        "npy",
        "tithe.embedders.npy:NpyEncoder",
        "npy:FILE vectors in a NumPy file, a row for each record in input order",
    ),
)
"""A line for each; its words are how it is written, and what it is."""


def usages() -> list[tuple[str, str]]:
    """How each built-in encoder is written, and what it is."""
    return [(usage, what) for usage, _, what in (words.partition(" ") for words in BUILT_IN.words.values())]


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
