"""Options: what is declared of each holds wherever it comes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tithe.selection.errors import UsageError
from tithe.selection.options.declared import Option
from tithe.selection.options.options import OPTIONS, Options
from tithe.selection.review.schema import first_fault

RECORDED = [one for one in OPTIONS if one.declared.recorded]


def made(**options: Any) -> Options:
    return Options(inputs=("a.jsonl",), output=Path("s.parquet"), **options)


@pytest.mark.parametrize("one", [one for one in OPTIONS if one.declared.one_of], ids=lambda one: one.field)
def test_a_name_that_there_is_not_is_refused(one: Option) -> None:
    with pytest.raises(UsageError, match=rf"^{one.flag} nothing: .*{next(iter(one.declared.one_of))}.* is needed$"):
        made(**{one.field: "nothing"})


@pytest.mark.parametrize("one", [one for one in OPTIONS if one.declared.least is not None], ids=lambda one: one.field)
def test_a_number_that_is_too_small_is_refused(one: Option) -> None:
    assert one.declared.least is not None
    with pytest.raises(UsageError, match=f"^{one.flag} {one.declared.least - 1:g}: .*is needed$"):
        made(**{one.field: one.declared.least - 1})


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"text": ("a", "b.c"), "seed": 2**70, "smoothness": 0.5, "work_dir": Path("w"), "fraction": (0.1, 0.2)},
        {"trainer": "ms-swift", "keep_centers": True, "max_record_size": 7},
        {"weights_as": "replicate", "size": 7, "exclude": ("old.parquet",), "dedup": True},
    ],
    ids=str,
)
def test_options_come_back_out_of_a_manifest(options: dict[str, Any]) -> None:
    recorded = json.loads(json.dumps(made(**options).recorded()))
    assert {one.key: first_fault(recorded[one.key], one.json_schema()) for one in RECORDED if one.key != "output"} == {
        one.key: None for one in RECORDED if one.key != "output"
    }
    again = Options.from_recorded(recorded, output=Path("s.parquet"), work_dir=options.get("work_dir"))
    assert json.loads(json.dumps(again.recorded())) == recorded
    assert all(getattr(again, field) == value for field, value in options.items())


def test_options_of_another_version_are_refused() -> None:
    recorded = made().recorded()
    with pytest.raises(UsageError, match=r"another version of tithe \(seeds, z\)"):
        Options.from_recorded({**{k: v for k, v in recorded.items() if k != "z"}, "seeds": 1}, output=None)
