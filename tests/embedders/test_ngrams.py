"""Counting hashed n-grams: the same features as a plain loop over the characters finds."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tithe.embedders import ngrams

EVERY = np.arange(ngrams.BUCKETS)

# Characters of every class and length in UTF-8 that have the same category in every version of Unicode.
ALPHABET = "abcXYZ019_éßЖжωا.,!?()'«»—“”  \n\t\u00a0\u3000漢字かなカナไทย한국नम€🙂𠀀"
TOKEN = re.compile(r"[漢字かなカナไทย🙂𠀀.,!?()'«»—“”€]|[abcxyz019_éßжωا한국नम]+")


def by_hand(text: str) -> list[tuple[str, ...]]:
    tokens = TOKEN.findall(text.lower())
    prefixes = [("prefix", token[: ngrams.PREFIX]) for token in tokens if reaches(token)]
    return [*((token,) for token in tokens), *pairwise(tokens), *prefixes]


def reaches(token: str) -> bool:
    """Whether a word is longer than PREFIX letters as long as its first one."""
    return len(token.encode()) > ngrams.PREFIX * len(token[0].encode())


def counts_of(texts: list[str]) -> list[list[float]]:
    x = ngrams.count(texts, EVERY, ngrams.BUCKETS)
    assert x.shape == (len(texts), ngrams.BUCKETS)
    return [sorted(x.data[first:last].tolist()) for first, last in pairwise(x.indptr)]


@settings(max_examples=200, deadline=None)
@given(texts=st.lists(st.text(ALPHABET, max_size=40), max_size=8))
@example(texts=["", "é", "", "漢", "a", "b", ""])
@example(texts=["abc", "cab", "漢字", "字", "🙂"])
@example(texts=["”9?ا字"])  # of which two features share a bucket
def test_the_same_features_as_by_hand(texts: list[str]) -> None:
    """By their hashes of 64 bits: of 2**20 buckets, two features share one now and then."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ngrams, "_bucket", lambda hashes: hashes.view(np.int64))
        row, hashes = ngrams._features(texts)
    found = [sorted(Counter(hashes[row == i].tolist()).values()) for i in range(len(texts))]
    assert found == [sorted(Counter(map(str, by_hand(text))).values()) for text in texts]


@pytest.mark.parametrize("text", ["", "é", "abc abc, cab!", "漢字 字", "abc zxyab abc"])
def test_features_are_counted(text: str) -> None:
    assert counts_of([text, "", text])[::2] == [sorted(Counter(map(str, by_hand(text))).values())] * 2


def test_equal_features_share_a_column_and_others_do_not() -> None:
    words = [f"word{i}" for i in range(2000)]
    x = ngrams.count([*words, *words], EVERY, ngrams.BUCKETS)
    own = [set(x.indices[x.indptr[i] : x.indptr[i + 1]].tolist()) for i in range(4000)]
    assert own[:2000] == own[2000:]
    # Every word has a column of its own, and all share that of their beginning. A few of 2,000 collide.
    assert len(frozenset.union(*map(frozenset, own))) > 1990
    assert len(frozenset.intersection(*map(frozenset, own))) == 1


def test_columns_can_be_merged() -> None:
    x = ngrams.count(["one two three", "", "one one"], np.zeros(ngrams.BUCKETS, np.int32), 1)
    assert x.toarray().tolist() == [[6.0], [0.0], [3.0]]


def test_batches_hold_every_text_once_and_stay_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ngrams, "_BATCH_CHARACTERS", 100)
    monkeypatch.setattr(ngrams, "_BATCH_TEXTS", 7)
    texts = ["x" * n for n in [0] * 20 + [30] * 10 + [1000, 1, 1000, 99, 1]]
    batches = list(ngrams.batches(texts))
    assert [text for _, batch in batches for text in batch] == texts
    for first, batch in batches:
        assert texts[first : first + len(batch)] == batch
        assert len(batch) <= 7
        assert len(batch) == 1 or sum(map(len, batch)) <= 100
    assert list(ngrams.batches([])) == []
