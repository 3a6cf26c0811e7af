"""Weights in the messages: a `loss_scale` with each message of the assistant, as ms-swift reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tithe.selection.arrays import Floats
from tithe.selection.corpus.batch import Batch
from tithe.selection.corpus.corpus import Corpus
from tithe.selection.errors import UsageError
from tithe.selection.subset.weight_shapes.base import CannotHold, WeightShape, described, undescribed

if TYPE_CHECKING:
    from tithe.selection.options.options import Options

MESSAGES, SCALE = "messages", "loss_scale"

# What the model is trained to say: ms-swift makes tool calls messages of the assistant, and keeps their scale.
_ROLES = ("assistant", "tool_call")


_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\n\r]*")


class LossScale(WeightShape):
    """Weights of mean 1, with each message that the model is trained to say."""

    weighs = True
    place = ", in the messages of the assistant"

    def check(self, options: Options) -> None:
        if options.weight_scale == "sum":
            raise UsageError(f"--weights-as {options.shape}: always has mean 1; leave --weight-scale out")
        self.refuse_column(options)

    def scale(self, wanted: str) -> str:
        return "mean"

    def check_corpus(self, corpus: Corpus, column: str) -> None:
        try:
            if corpus.schema is not None:
                at = corpus.schema.get_field_index(MESSAGES)
                check_type(corpus.schema.field(at).type if at >= 0 else None)
                return
            for batch in corpus.batches(None):
                first = next((record for record in batch.records() if isinstance(record, dict)), None)
                if first is not None:
                    check_messages(first.get(MESSAGES))
                break
        except Unscalable as error:
            raise UsageError(f"--weights-as loss-scale: {corpus.files[0].path}: {error}") from error

    def line(self, line: bytes, record: dict[str, Any], weight: float, column: str) -> bytes:
        return scaled_line(line, weight)

    def to_infer(self, record: dict[str, Any], weight: float, column: str) -> dict[str, Any]:
        return {**record, MESSAGES: scaled_messages(record.get(MESSAGES), weight)}

    def schema(self, schema: pa.Schema, column: str, *, inferred: bool) -> pa.Schema:
        if not inferred:
            at = schema.get_field_index(MESSAGES)
            schema = schema.set(at, schema.field(at).with_type(scaled_type(schema.field(at).type)))
        # Features that lack the scale would hide it.
        return described(schema, add_feature) or undescribed(schema)

    def values(self, batch: Batch, name: str, weights: Floats, column: str) -> Any:
        values = batch.column(name)
        if name != MESSAGES:
            return values
        if isinstance(values, pa.Array):
            return scaled_column(values, weights)
        return [scaled_messages(one, weight) for one, weight in zip(values, weights.tolist(), strict=True)]


class Unscalable(CannotHold):
    """A record that cannot hold a `loss_scale`; the message says why."""


def check_messages(messages: Any) -> None:
    """Raise Unscalable unless this is a list of messages without a scale."""
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise Unscalable(f"has no list {MESSAGES!r}, whose messages could hold a {SCALE}")
    if any(SCALE in message for message in messages):
        raise Unscalable(f"has a {SCALE} in its {MESSAGES!r} already")


def check_type(type_: pa.DataType | None) -> None:
    """Raise Unscalable where no value of a column can hold a scale. None: there is no such column."""
    if type_ is None or not (pa.types.is_list(type_) or pa.types.is_large_list(type_)):
        raise Unscalable(f"has no list {MESSAGES!r}, whose messages could hold a {SCALE}")
    message = type_.value_type
    if not pa.types.is_struct(message) or message.get_field_index("role") < 0:
        raise Unscalable(f"the {MESSAGES!r} have no 'role', which tells those that hold a {SCALE}")
    if message.get_field_index(SCALE) >= 0:
        raise Unscalable(f"has a {SCALE} in its {MESSAGES!r} already")


def scaled_messages(messages: Any, scale: float) -> list[dict[str, Any]]:
    """The messages of a record, those of the assistant with the scale. Raises Unscalable."""
    check_messages(messages)
    return [{**message, SCALE: scale} if _is_trained(message) else message for message in messages]


def scaled_line(line: bytes, scale: float) -> bytes:
    """A JSON object with the scale in its messages; all else keeps its own text. Raises Unscalable."""
    text = line.decode()
    # The last of a key that is there twice, as everywhere.
    found = {key: (value, start) for key, value, start, _ in _items(text, text.index("{"))}
    messages, start = found.get(MESSAGES, (None, 0))
    check_messages(messages)
    parts, done = [], 0
    for _, message, _, end in _items(text, start):
        if _is_trained(message):
            parts += [text[done : end - 1].rstrip(), f', "{SCALE}": {json.dumps(scale)}}}']
            done = end
    return "".join([*parts, text[done:]]).encode()


def scaled_type(type_: pa.DataType) -> pa.DataType:
    """The type of the messages with their scale, null for those who have none."""
    message = type_.value_type
    fields = [message.field(i) for i in range(message.num_fields)]
    item = type_.value_field.with_type(pa.struct([*fields, pa.field(SCALE, pa.float64())]))
    return pa.large_list(item) if pa.types.is_large_list(type_) else pa.list_(item)


def scaled_column(column: pa.Array, scales: Floats) -> pa.Array:
    """The messages of some records with their `scales`, shape (len(column),). Raises Unscalable where they are null."""
    if column.null_count:
        first = column.is_null().to_pylist().index(True)
        raise Unscalable(f"has no list {MESSAGES!r}, whose messages could hold a {SCALE}", first)
    type_ = scaled_type(column.type)
    messages, lengths = column.flatten(), column.value_lengths().to_numpy()
    parts = messages.flatten()
    values = pa.StructArray.from_arrays(
        [
            *parts,
            pa.array(np.repeat(scales, lengths), mask=~_trained(parts[column.type.value_type.get_field_index("role")])),
        ],
        fields=list(type_.value_type),
        mask=messages.is_null(),
    )
    kind = pa.LargeListArray if pa.types.is_large_list(type_) else pa.ListArray
    ends = np.concatenate([[0], np.cumsum(lengths)])
    return kind.from_arrays(pa.array(ends, pa.int64() if kind is pa.LargeListArray else pa.int32()), values, type=type_)


def _trained(roles: pa.Array) -> npt.NDArray[np.bool_]:
    encoded = roles if pa.types.is_dictionary(roles.type) else roles.dictionary_encode()
    known = np.array([role in _ROLES for role in encoded.dictionary.to_pylist()] + [False])
    return known[encoded.indices.fill_null(len(known) - 1).to_numpy()]


def add_feature(features: dict[str, Any]) -> None:
    """Add the scale to the features that the library `datasets` describes. Raises KeyError or TypeError for others."""
    messages = features[MESSAGES]
    message = messages[0] if isinstance(messages, list) else messages["feature"]
    if "_type" in message and message["_type"] != "Struct":
        raise TypeError("not the features of messages")
    message[SCALE] = {"dtype": "float64", "_type": "Value"}


def _is_trained(message: dict[str, Any]) -> bool:
    return message.get("role") in _ROLES


def _items(text: str, start: int) -> Iterator[tuple[Any, Any, int, int]]:
    """Key (None in a list), value, start and end of each item of the valid JSON object or list at `start`."""
    at = _after_space(text, start + 1)
    while text[at] not in "}]":
        key = None
        if text[start] == "{":
            key, at = _DECODER.raw_decode(text, at)
            at = _after_space(text, _after_space(text, at) + 1)
        value, end = _DECODER.raw_decode(text, at)
        yield key, value, at, end
        at = _after_space(text, end)
        if text[at] == ",":
            at = _after_space(text, at + 1)


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    assert found is not None
    return found.end()
