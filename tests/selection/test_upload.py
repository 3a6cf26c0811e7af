"""Uploads: all or nothing, and the manifest last."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stores import Bucket, Fault
from tithe.selection.corpus.object_store import ObjectUrl
from tithe.selection.errors import TitheError
from tithe.selection.upload import upload


def url(bucket: Bucket, key: str) -> ObjectUrl:
    return ObjectUrl.parse(bucket.url(key))


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    (tmp_path / "shards").mkdir()
    for name in ("shards/part-0", "shards/part-2", "rows", "manifest"):
        (tmp_path / name).write_text(f"new {name}")
    return tmp_path


def bring(bucket: Bucket, staged: Path) -> None:
    upload(
        [(staged / "shards", url(bucket, "out/s")), (staged / "rows", url(bucket, "out/s.rows"))],
        [(staged / "manifest", url(bucket, "out/s.manifest"))],
    )


def test_a_folder_of_shards_holds_the_new_ones_only(bucket: Bucket, staged: Path) -> None:
    for key in ("out/s/part-0", "out/s/part-1", "out/s.manifest"):
        bucket.put(key, b"old")
    bring(bucket, staged)
    objects = [key for key in bucket.objects() if not key.endswith("/")]
    assert objects == ["out/s.manifest", "out/s.rows", "out/s/part-0", "out/s/part-2"]
    assert bucket.get("out/s/part-0") == b"new shards/part-0"
    assert bucket.get("out/s.manifest") == b"new manifest"


def test_no_manifest_is_there_before_all_is(bucket: Bucket, staged: Path) -> None:
    bucket.put("out/s.manifest", b"old")
    faults = Fault("PUT|POST", "out/s.rows", 403), Fault("DELETE", "out/s/part", 403)
    said = r"out/s\.rows: cannot be written \(access denied.* could not be removed again"
    with bucket.failing(*faults), pytest.raises(TitheError, match=said):
        bring(bucket, staged)
    assert "out/s.manifest" not in bucket.objects()


@pytest.mark.parametrize("key", ["part-2", "rows", "manifest"])
def test_what_fails_leaves_nothing(key: str, bucket: Bucket, staged: Path) -> None:
    bucket.put("other", b"")
    with bucket.failing(Fault("PUT|POST", key, 403)), pytest.raises(TitheError, match="nothing is left there"):
        bring(bucket, staged)
    assert bucket.objects() == ["other"]
