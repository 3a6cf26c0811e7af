"""Our own checker of JSON Schema, against the library jsonschema and beyond it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.conftest import Tithe
from tests.manifests import changed, places, without
from tests.schemas import schema
from tests.selections import make
from tithe.selection.review.schema import first_fault

# Of what both mean the same by: no 1.0, which is an integer to JSON Schema, and nothing of more than 53 bits.
VALUES = st.sampled_from(
    [None, True, False, 0, 1, 2, -1, 60, 0.5, -0.25, 1.5e-300, "", "auto", "sum", "x", "ä\n", "0" * 64, [], {}, [1], ["a"],
     [[0.5, 1]], {"a": 1}, {"exact": True}, {"exact": False}, {"0.5": 1.5}, {"x": 0.5}]
)  # fmt: skip


@pytest.mark.parametrize("case", ["losses of a file", "groups", "nested", "tokens"])
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_it_agrees_with_the_library(tithe: Tithe, tmp_path: Path, case: str, data: st.DataObject) -> None:
    manifest = tmp_path / "m.json"
    if not manifest.exists():
        manifest.write_bytes(make(tithe, case, tmp_path).manifest.read_bytes())
    document = json.loads(manifest.read_text())
    at = data.draw(st.sampled_from([*places(document)]))
    kind = data.draw(st.sampled_from(["another", "another", "none", "more"])) if at else "another"
    if kind == "another":
        document = changed(document, at, data.draw(VALUES))
    elif kind == "none":
        document = without(document, at)
    elif isinstance(at[-1], str):
        document = changed(document, (*at[:-1], "unknown"), data.draw(VALUES))
    valid = Draft202012Validator(schema("manifest")).is_valid(document)
    assert (first_fault(document, schema("manifest")) is None) == valid


SCHEMAS = st.recursive(
    st.sampled_from(
        [{"type": "integer"}, {"type": ["number", "null"]}, {"type": "string", "pattern": "^a$"}, {"const": True},
         {"const": 1}, {"enum": [1, "a", None]}, {"minimum": 1}, {"maximum": 1}, {"type": "object"}, {}]
    ),
    lambda inner: st.one_of(
        st.builds(lambda a: {"items": a, "minItems": 1, "maxItems": 2}, inner),
        st.builds(lambda a: {"properties": {"a": a}, "required": ["a"], "additionalProperties": False}, inner),
        st.builds(lambda a, b: {"properties": {"a": a}, "additionalProperties": b}, inner, inner),
        st.builds(lambda a: {"propertyNames": a}, inner),
        st.builds(lambda a, b: {"anyOf": [a, b]}, inner, inner),
        st.builds(lambda a, b: {"oneOf": [a, b]}, inner, inner),
    ),
    max_leaves=6,
)  # fmt: skip
DOCUMENTS = st.recursive(
    st.sampled_from([None, True, False, 0, 1, 2, 0.5, "a", "b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b"]), inner),
    max_leaves=6,
)


@settings(max_examples=500, deadline=None)
@given(described=SCHEMAS, document=DOCUMENTS)
def test_it_agrees_with_the_library_on_any_schema(described: dict[str, Any], document: Any) -> None:
    assert (first_fault(document, described) is None) == Draft202012Validator(described).is_valid(document)


@pytest.mark.parametrize("text", ["1.0", "9007199254740993", "-9007199254740993", "true", "1e2"])
def test_an_integer_is_one_to_every_reader(text: str) -> None:
    assert first_fault(json.loads(text), {"type": "integer"}) is not None
    assert first_fault(2**53 + 1, {"type": "integer", "format": "bigint"}) is None


@pytest.mark.parametrize("text", ["1e999", "-1e999", "1" + "0" * 400, "true", '"1"'])
def test_a_number_is_finite(text: str) -> None:
    assert first_fault(json.loads(text), {"type": "number"}) is not None


def test_a_fault_is_named_by_its_place() -> None:
    described = {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string"}}}}
    assert first_fault({"a": ["x", 1]}, described) == "a[1]: is not of type string"
    assert first_fault(1, described) == "the document: is not of type object"


def test_a_keyword_that_it_does_not_know_is_not_passed_over() -> None:
    with pytest.raises(KeyError):
        first_fault(1, {"multipleOf": 2})


def test_a_pattern_leaves_no_room_for_a_line_end() -> None:
    assert first_fault("a\n", {"pattern": "^a$"}) is not None
