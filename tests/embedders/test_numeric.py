"""`features`: numeric fields, standardised."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tithe.embedders.base import MeasuredEncoder, RecordEncoder
from tithe.embedders.errors import EncoderError, UnusableRecords
from tithe.embedders.numeric import NumericEncoder


def measured(columns: dict[str, np.ndarray], cuts: list[int]) -> np.ndarray:
    *features, target = columns
    encoder = NumericEncoder(features, target)
    assert isinstance(encoder, MeasuredEncoder)
    n = len(columns[target])
    for part in np.split(np.arange(n), cuts):
        if len(part):
            encoder.measure({name: pa.array(values[part]) for name, values in columns.items()})
    return encoder.lookup(np.arange(n), {name: pa.array(values) for name, values in columns.items()})


@given(st.lists(st.integers(1, 99), max_size=4).map(sorted))
def test_fields_get_mean_0_and_deviation_1_however_they_are_cut(cuts: list[int]) -> None:
    rng = np.random.default_rng(0)
    columns = {"a": rng.normal(5, 3, 100), "year": 2000 + rng.integers(0, 20, 100), "y": 1e9 + rng.random(100)}
    vectors = measured(columns, cuts)
    np.testing.assert_allclose(vectors.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(vectors.std(axis=0), 1, rtol=1e-5)
    # Small differences between large numbers survive, although the vectors are of float32.
    assert np.corrcoef(vectors[:, 2], columns["y"])[0, 1] > 0.999999


def test_a_constant_field_becomes_0() -> None:
    vectors = measured({"a": np.full(10, 0.1), "y": np.arange(10.0)}, [3])
    assert vectors[:, 0].tolist() == [0] * 10


@pytest.mark.parametrize(
    ("values", "reasons"),
    [
        (pa.array([1.0, None, float("nan"), 2.0]), {1: "'a' is null"}),
        (pa.array([1.0, 3.0, float("nan"), 2.0]), {2: "'a' is nan, not a finite number"}),
        (pa.array(["1", "2"]), {0: "'a' is of type string, not a number", 1: "'a' is of type string, not a number"}),
        ([1, True, None, "x", 2.5], {1: "'a' is True, not a number", 2: "'a' is None, not a number", 3: "'a' is 'x', not a number"}),
        ([1, 10**400], {1: "'a' is inf, not a finite number"}),
    ],
    ids=["null", "nan", "string", "python", "too large"],
)  # fmt: skip
def test_what_is_no_number_is_named(values: object, reasons: dict[int, str]) -> None:
    encoder: RecordEncoder = NumericEncoder(["a"], "y")
    count = len(values)  # type: ignore[arg-type]
    with pytest.raises(UnusableRecords) as error:
        encoder.lookup(np.arange(count), {"a": values, "y": [1.0] * count})
    assert error.value.reasons == reasons


def test_a_field_named_twice_is_refused() -> None:
    with pytest.raises(EncoderError, match="name 'y' twice"):
        NumericEncoder(["a", "y"], "y")
