"""Uploads: all or nothing, and the manifest last."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stores import Bucket, Fault
from tithe.selection.errors import TitheError
from tithe.selection.storage.object_store import ObjectUrl
from tithe.selection.storage.own_files import OwnPath
from tithe.selection.subset.upload import upload


def url(bucket: Bucket, key: str) -> ObjectUrl:
    return ObjectUrl.parse(bucket.url(key))


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    (tmp_path / "shards").mkdir()
    for name in ("shards/part-00000.jsonl", "shards/part-00002.jsonl", "rows", "manifest"):
        (tmp_path / name).write_text(f"new {name}")
    return tmp_path


def bring(bucket: Bucket, staged: Path) -> None:
    upload(
        [(OwnPath(staged) / "shards", url(bucket, "out/s")), (OwnPath(staged) / "rows", url(bucket, "out/s.rows"))],
        [(OwnPath(staged) / "manifest", url(bucket, "out/s.manifest"))],
    )


def test_of_a_folder_of_shards_the_old_ones_go_and_nothing_else(bucket: Bucket, staged: Path) -> None:
    for key in ("out/s/part-00000.jsonl", "out/s/part-00001.jsonl", "out/s/mine.jsonl", "out/s.manifest"):
        bucket.put(key, b"old")
    bring(bucket, staged)
    objects = [key for key in bucket.objects() if not key.endswith("/")]
    assert objects == [
        "out/s.manifest",
        "out/s.rows",
        "out/s/mine.jsonl",
        "out/s/part-00000.jsonl",
        "out/s/part-00002.jsonl",
    ]
    assert bucket.get("out/s/part-00000.jsonl") == b"new shards/part-00000.jsonl"
    assert bucket.get("out/s.manifest") == b"new manifest"


def test_no_manifest_is_there_before_all_is(bucket: Bucket, staged: Path) -> None:
    bucket.put("out/s.manifest", b"old")
    faults = Fault("PUT|POST", "out/s.rows", 403), Fault("DELETE", "out/s/part", 403)
    said = r"out/s\.rows: cannot be written \(access denied.* could not be removed again"
    with bucket.failing(*faults), pytest.raises(TitheError, match=said):
        bring(bucket, staged)
    assert "out/s.manifest" not in bucket.objects()


@pytest.mark.parametrize("key", ["part-00002", "rows", "manifest"])
def test_what_fails_leaves_nothing(key: str, bucket: Bucket, staged: Path) -> None:
    bucket.put("other", b"")
    with bucket.failing(Fault("PUT|POST", key, 403)), pytest.raises(TitheError, match="nothing is left there"):
        bring(bucket, staged)
    assert bucket.objects() == ["other"]
