"""What a manifest may have read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tithe.selection.review.reach import HubModel, Reach, model
from tithe.selection.storage.places import place_of

STORE = "s3://bucket/out/s.jsonl.manifest.json"


@pytest.mark.parametrize(
    ("manifest", "allowed", "covered", "not_covered"),
    [
        ("out/m", (), ["out/c.jsonl", "out/deep/c.jsonl", "out/../out/c.jsonl"], ["c.jsonl", "out/../c.jsonl", "outer/c"]),
        ("out/m", ("data",), ["data", "data/c.jsonl"], ["data2/c.jsonl", "data/../c.jsonl"]),
        ("out/m", ("data/c.jsonl",), ["data/c.jsonl"], ["data/d.jsonl", "data"]),
        ("out/m", ("linked",), ["real/c.jsonl", "linked/c.jsonl"], ["c.jsonl"]),
        ("out/m", (), [], ["out/away/c.jsonl", "s3://bucket/c.jsonl", "s3://out/c.jsonl", "hdfs://host/out/c.jsonl"]),
        ("out/m", ("s3://bucket/",), ["s3://bucket/c", "s3://bucket/a/*"], ["s3://other/c", "s3://bucket/c?region=x"]),
        ("out/m", ("s3://bucket/a",), ["s3://bucket/a", "s3://bucket/a/b"], ["s3://bucket/ab", "s3://bucket/a/../c"]),
        ("out/m", ("s3://bucket/",), [], ["s3://bucket/c?endpoint_override=evil:1", "s3://a:b@bucket/c", "gs://bucket/c"]),
        ("out/m", ("s3://bucket/?endpoint_override=mine",), ["s3://bucket/c?endpoint_override=mine"], ["s3://bucket/c"]),
        ("out/m", ("s3://b/?endpoint_override=mine",), [], ["s3://b/c?endpoint_override=mine&endpoint_override=evil"]),
        ("out/m", ("hdfs://host/a",), ["hdfs://host/a/b"], ["hdfs://host/a/../b", "hdfs://host:9/a/b"]),
        (STORE, (), ["s3://bucket/out/c", "s3://bucket/out/deep/c"], ["s3://bucket/c", "out/c.jsonl", "out/s.jsonl"]),
        (f"{STORE}?scheme=http", (), ["s3://bucket/out/c?scheme=http"], ["s3://bucket/out/c"]),
    ],
)  # fmt: skip
def test_what_is_covered(
    manifest: str, allowed: tuple[str, ...], covered: list[str], not_covered: list[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    for name in ("out/deep", "real", "data", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "linked").symlink_to("real")
    (tmp_path / "out" / "away").symlink_to("../elsewhere")
    reach = Reach.of(place_of(manifest), allowed)
    (tmp_path / "data" / "run").mkdir()
    assert [name for name in covered if not reach.covers(place_of(name))] == []
    assert [name for name in not_covered if reach.covers(place_of(name))] == []


def test_models_of_the_hub_are_named_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    reach = Reach.of(Path("out/m"), ("some/model",))
    assert reach.covers(model("some/model"))
    assert not reach.covers(HubModel("some/other")) and not reach.covers(model("some"))
    (tmp_path / "some" / "model").mkdir(parents=True)
    assert reach.covers(model("some/model"))
    (tmp_path / "other" / "some").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "other")  # where the same name would mean another folder
    (tmp_path / "other" / "some" / "model").mkdir()
    assert not reach.covers(model("some/model"))


def test_a_refusal_is_one_line_with_all_that_is_to_be_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    reach = Reach.of(Path("out/m"))
    found = reach.beyond([Path("data"), Path("data/c.jsonl"), Path("a b"), place_of("s3://b/*.jsonl"), Path("out/x")])
    assert reach.refusal(found).endswith("add --allow-read data --allow-read 'a b' --allow-read s3://b/%2A.jsonl")
    many = reach.beyond([Path(f"data/{i}.jsonl") for i in range(9)])
    assert reach.refusal(many).endswith("add --allow-read data")
    assert reach.refusal([Path("\x1b[2J\n")]).isprintable()
    (tmp_path / "link").symlink_to("data")
    assert reach.refusal([Path("link")]).startswith("link (a link to data): outside")
    assert reach.refusal([Path("link")]).endswith("add --allow-read data")
    (tmp_path / "out").mkdir()
    for i in range(9):
        (tmp_path / "out" / str(i)).symlink_to(tmp_path / "data" / str(i))
    assert reach.refusal(reach.beyond([Path(f"out/{i}") for i in range(9)])).endswith("add --allow-read data")
