"""The store of vectors: what was put in comes out, whatever happened to its files in between."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tithe.selection.embedding import key_index, vector_shards
from tithe.selection.embedding.key_index import KeyIndex
from tithe.selection.embedding.vector_store import VectorStore, text_keys
from tithe.selection.errors import TitheError
from tithe.selection.options.choices import StoreDtype
from tithe.selection.storage.own_files import OwnPath

D = 6


def vectors_of(texts: list[str]) -> np.ndarray:
    """A vector for each text that float16 holds exactly."""
    rng = [np.random.default_rng([*text.encode("utf-8", "surrogatepass"), 1]) for text in texts]
    return np.stack([r.integers(-100, 100, D) for r in rng]).astype(np.float32)


def opened(folder: Path, dtype: StoreDtype = "float16", told: list[str] | None = None) -> VectorStore:
    store = VectorStore(OwnPath(folder), dtype, notify=lambda line: None if told is None else told.append(line))
    store.prepare_to_write()
    return store


def filled(folder: Path, texts: list[str], batch: int = 7) -> None:
    store = opened(folder)
    for start in range(0, len(texts), batch):
        part = texts[start : start + batch]
        store.append(text_keys(part), vectors_of(part))
    store.finish_writing()
    store.close()


TEXTS = [f"text {i}" for i in range(40)]


@given(
    st.lists(st.text(alphabet="abc\ud800é", max_size=4), unique=True, max_size=40), st.randoms(use_true_random=False)
)
def test_every_text_finds_its_vector_in_any_order_and_company(texts: list[str], random: object) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        filled(Path(name), texts, batch=3)
        store = opened(Path(name))
        wanted = [*texts, *texts[:3]]
        random.shuffle(wanted)  # type: ignore[attr-defined]
        if wanted:
            rows = store.find(text_keys(wanted))
            assert (rows >= 0).all()
            np.testing.assert_array_equal(store.read(rows), vectors_of(wanted))
        assert (store.find(text_keys(["not there"])) == -1).all()
        store.close()


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 1000)), max_size=200), st.integers(1, 9))
def test_the_index_is_a_dictionary(pairs: list[tuple[int, int]], batch: int) -> None:
    found = KeyIndex()
    for start in range(0, len(pairs), batch):
        part = pairs[start : start + batch]
        found.add(np.array([key for key, _ in part], np.uint64), np.array([row for _, row in part], np.int64))
    known = dict(pairs)
    rows = found.find(np.arange(52, dtype=np.uint64))
    assert rows.tolist() == [known.get(key, -1) for key in range(52)]


def test_the_index_stays_shallow_whatever_the_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_index, "_LEVEL", 1000)
    found = KeyIndex()
    keys = np.random.default_rng(0).permutation(5000).astype(np.uint64)
    start, size = 0, 40
    while start < len(keys):
        part = keys[start : start + size]
        found.add(part, np.arange(start, start + len(part)))
        start, size = start + size, max(1, size - 1)
    np.testing.assert_array_equal(keys[found.find(keys)], keys)
    assert len(found._levels) < 5000 / 500 + 11


def test_two_texts_that_share_half_of_their_key_are_told_apart(tmp_path: Path) -> None:
    store = opened(tmp_path)
    keys = text_keys(["a", "b"]).copy()
    keys[1, :8] = keys[0, :8]
    store.append(keys[:1], vectors_of(["a"]))
    assert store.find(keys).tolist() == [0, -1]
    store.append(keys[1:], vectors_of(["b"]))
    assert store.find(keys[1:]).tolist() == [1]
    store.close()


@pytest.mark.parametrize("at", ["first header", "first keys", "first vectors", "middle", "last byte"])
def test_any_damage_is_named_and_the_vectors_are_missing_until_they_are_made_anew(tmp_path: Path, at: str) -> None:
    filled(tmp_path, TEXTS)
    (path,) = tmp_path.glob("*.shard")
    size = path.stat().st_size
    offset = {"first header": 5, "first keys": 40, "first vectors": 36 + 7 * 16 + 3, "middle": size // 2}.get(
        at, size - 1
    )
    content = bytearray(path.read_bytes())
    content[offset] ^= 4
    path.write_bytes(content)
    told: list[str] = []
    store = opened(tmp_path, told=told)
    rows = store.find(text_keys(TEXTS))
    missing = [text for text, row in zip(TEXTS, rows, strict=True) if row < 0]
    assert missing
    assert len(told) == 1
    assert str(path) in told[0]
    there = [text for text, row in zip(TEXTS, rows, strict=True) if row >= 0]
    if there:
        np.testing.assert_array_equal(store.read(rows[rows >= 0]), vectors_of(there))
    store.append(text_keys(missing), vectors_of(missing))
    rows = store.find(text_keys(TEXTS))
    np.testing.assert_array_equal(store.read(rows), vectors_of(TEXTS))
    store.close()
    # The next run finds the new ones, and no damage in what it needs.
    told.clear()
    store = opened(tmp_path, told=told)
    np.testing.assert_array_equal(store.read(store.find(text_keys(TEXTS))), vectors_of(TEXTS))
    assert told == []
    store.close()


def test_whatever_is_cut_off_costs_the_last_frame_alone(tmp_path: Path) -> None:
    filled(tmp_path, TEXTS, batch=10)
    (path,) = tmp_path.glob("*.shard")
    whole = path.read_bytes()
    population = len(whole) // 4
    for cut in (1, 35, 36, 100, population - 1):
        path.write_bytes(whole[: 3 * population + cut])
        told: list[str] = []
        store = opened(tmp_path, told=told)
        assert (store.find(text_keys(TEXTS)) >= 0).tolist() == [True] * 30 + [False] * 10
        assert f"{path}: ends in {cut} damaged or half-written bytes" in told[0]
        assert path.stat().st_size == 3 * population
        store.append(text_keys(TEXTS[30:]), vectors_of(TEXTS[30:]))
        assert path.read_bytes() == whole
        store.close()


def test_shards_are_of_bounded_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_shards, "SHARD_BYTES", 300)
    filled(tmp_path, TEXTS)
    assert len(list(tmp_path.glob("*.shard"))) > 2
    store = opened(tmp_path)
    np.testing.assert_array_equal(store.read(store.find(text_keys(TEXTS))), vectors_of(TEXTS))
    store.close()


def test_float16_keeps_unit_vectors_to_a_twentieth_of_a_percent_and_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((500, 256)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    store = opened(tmp_path)
    keys = text_keys([str(i) for i in range(500)])
    store.append(keys, vectors)
    kept = store.read(store.find(keys))
    assert (np.linalg.norm(kept - vectors, axis=1) < 5e-4).all()
    with pytest.raises(TitheError, match="--store-dtype float16: an embedding has a number beyond 65,504"):
        store.append(text_keys(["large"]), np.full((1, 256), 1e5, np.float32))
    assert store.count == 500
    store.close()


def test_a_write_that_fails_adds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path, TEXTS)
    (path,) = tmp_path.glob("*.shard")
    before = path.read_bytes()
    store = opened(tmp_path)
    pwrite = os.pwrite

    def full(file: int, content: bytes, offset: int) -> int:
        if offset > len(before):
            raise OSError(28, "No space left on device")
        return pwrite(file, content[:50], offset)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space"):
        store.append(text_keys(["new"]), vectors_of(["new"]))
    monkeypatch.undo()
    assert path.read_bytes() == before
    store.append(text_keys(["new"]), vectors_of(["new"]))
    np.testing.assert_array_equal(store.read(store.find(text_keys(["new"]))), vectors_of(["new"]))
    store.close()
