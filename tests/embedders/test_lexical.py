"""The lexical encoder: which texts come out near each other, and that a vector depends on its text alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tithe.embedders
from tithe.embedders import lexical, ngrams
from tithe.embedders.base import FittedEncoder, Vectors
from tithe.embedders.lexical import LexicalEncoder

CHINESE = (
    [
        "把土豆切成薄片,放进锅里用油炒熟,再加盐和酱油。",
        "先把鸡肉腌制半小时,然后放进锅里炒熟,最后加盐。",
        "锅里放油,加入切好的洋葱和土豆,炒到金黄色。",
    ],
    [
        "昨晚的足球比赛中,主队在最后一分钟进球获胜。",
        "裁判在比赛中出示红牌,球队只剩十名球员。",
        "教练说球队需要在下一场足球比赛中加强防守。",
    ],
)
JAPANESE = (
    [
        "じゃがいもを薄く切って、フライパンで油と一緒に炒めます。",
        "鶏肉を三十分漬けてから、フライパンで炒めて塩を加えます。",
        "玉ねぎを切って、鍋に油を入れて炒めてください。",
    ],
    [
        "昨夜のサッカーの試合で、チームは最後の一分にゴールを決めて勝った。",
        "審判が試合でレッドカードを出し、チームは十人になった。",
        "キーパーがPKを止めて、チームはリーグ優勝を果たした。",
    ],
)
THAI = (
    [
        "หั่นมันฝรั่งเป็นชิ้นบางแล้วผัดในกระทะกับน้ำมัน ใส่เกลือและซีอิ๊ว",
        "หมักเนื้อไก่ครึ่งชั่วโมงแล้วนำไปผัดในกระทะ จากนั้นใส่เกลือ",
        "ใส่น้ำมันในกระทะ ผัดหัวหอมกับมันฝรั่งจนเหลืองทอง",
    ],
    [
        "การแข่งขันฟุตบอลเมื่อคืน ทีมเจ้าบ้านยิงประตูชนะในนาทีสุดท้าย",
        "ผู้ตัดสินแจกใบแดงในการแข่งขัน ทีมเหลือผู้เล่นสิบคน",
        "โค้ชบอกว่าทีมต้องปรับปรุงเกมรับในการแข่งขันนัดหน้า",
    ],
)
CODE = (
    [
        "def add(a, b):\n    return a + b",
        "def read(path):\n    with open(path) as f:\n        return f.read()",
        "class Stack:\n    def __init__(self):\n        self.items = []",
    ],
    [
        "int add(int a, int b) {\n  return a + b;\n}",
        '#include <stdio.h>\nint main(void) {\n  printf("hi\\n");\n  return 0;\n}',
        "void swap(int *a, int *b) {\n  int t = *a; *a = *b; *b = t;\n}",
    ],
)
COMMON_WORDS = "the a of to is and in for please what how my that on with"
TOPICS = (
    "bank account balance card credit payment transfer fraud loan deposit",
    "recipe oven flour butter bake onion simmer garlic salad dessert",
    "flight airport luggage passport ticket hotel airline boarding delayed visa",
    "football goal referee league striker penalty stadium coach keeper derby",
    "guitar melody chorus drummer concert album singer rhythm orchestra piano",
)
LANGUAGES = {"chinese": CHINESE, "japanese": JAPANESE, "thai": THAI, "code": CODE}


def english(n: int, seed: int = 0) -> tuple[list[str], np.ndarray]:
    """n short texts on five topics, and the topic of each."""
    rng = np.random.default_rng(seed)
    common = COMMON_WORDS.split()
    topics = [words.split() for words in TOPICS]
    topic = rng.integers(0, 5, n)
    texts = [
        " ".join(rng.permutation([*rng.choice(common, 6), *rng.choice(topics[i], 4, replace=False)])) for i in topic
    ]
    return texts, topic


def fitted(texts: list[str], *, dimensions: int = 64, seed: int = 0, threads: int | None = None) -> LexicalEncoder:
    encoder = LexicalEncoder(dimensions=dimensions, threads=threads)
    encoder.fit(texts, seed=seed)
    return encoder


def cosines(vectors: Vectors) -> np.ndarray:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit @ unit.T


def contrast(encoder: LexicalEncoder, groups: tuple[list[str], list[str]]) -> float:
    """The mean cosine within a group, less that across."""
    texts = groups[0] + groups[1]
    topic = np.repeat([0, 1], [len(groups[0]), len(groups[1])])
    near = cosines(encoder.encode(texts))
    same = topic[:, None] == topic
    return float(near[same & ~np.eye(len(texts), dtype=bool)].mean() - near[~same].mean())


def test_it_is_a_fitted_encoder() -> None:
    assert isinstance(LexicalEncoder(), FittedEncoder)
    assert LexicalEncoder().fit_records >= 10_000


def test_the_nearest_texts_share_the_topic() -> None:
    texts, topic = english(600)
    near = cosines(fitted(texts[:400]).encode(texts))
    np.fill_diagonal(near, -1)
    assert np.mean(topic[near.argmax(axis=1)] == topic) > 0.95


@pytest.mark.parametrize("language", LANGUAGES)
def test_topics_are_told_apart_in_scripts_without_spaces_and_in_code(language: str) -> None:
    groups = LANGUAGES[language]
    assert contrast(fitted(groups[0] + groups[1]), groups) > 0.1


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_that_the_sample_did_not_hold_does_not_collapse(language: str) -> None:
    groups = LANGUAGES[language]
    encoder = fitted(english(2000)[0], dimensions=256)
    near = cosines(encoder.encode(groups[0] + groups[1]))
    assert near[~np.eye(len(near), dtype=bool)].max() < 0.9
    assert contrast(encoder, groups) > 0.04


def test_a_rare_language_in_the_sample_does_not_collapse() -> None:
    encoder = fitted(english(2000)[0] + CHINESE[0] + CHINESE[1], dimensions=256)
    assert contrast(encoder, CHINESE) > 0.1


def test_words_are_found_by_their_beginning_and_in_any_case() -> None:
    encoder = fitted(english(500)[0])
    base, upper, inflected, other = encoder.encode(
        ["transferring payments", "Transferring PAYMENTS", "transferred payment", "simmered onions"]
    )
    assert np.array_equal(base, upper)
    near = cosines(np.stack([base, inflected, other]))
    assert near[0, 1] > near[0, 2] + 0.2


def test_only_texts_without_a_feature_give_the_zero_vector() -> None:
    encoder = fitted(english(300)[0])
    bare, full = ["", " \n\t ", "\u3000", "\x00"], ["x", "?", "ж", "語", "🙂"]
    assert not encoder.encode(bare).any()
    lengths = np.linalg.norm(encoder.encode(full), axis=1)
    assert (lengths > 0).all()
    assert lengths.max() <= 1.01


def test_the_shape_is_as_promised_whatever_the_sample() -> None:
    for sample in ([], [""], ["one"], ["one two", "one three"], ["same"] * 50):
        vectors = fitted(sample, dimensions=32).encode(["one", "", "unheard of"])
        assert vectors.shape == (3, 32)
        assert vectors.dtype == np.float32
        assert np.isfinite(vectors).all()
        assert np.linalg.norm(vectors, axis=1).astype(bool).tolist() == [True, False, True]
    assert fitted(["one"], dimensions=32).encode([]).shape == (0, 32)


def test_texts_that_differ_in_rare_words_alone_get_different_vectors() -> None:
    encoder = fitted(["what is the capital of france"] * 100)
    vectors = encoder.encode([f"what is the capital of {name}" for name in ("peru", "chad", "oman")])
    assert len(np.unique(vectors, axis=0)) == 3


ANY_TEXT = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), max_size=12)


@settings(max_examples=50, deadline=None)
@given(texts=ANY_TEXT, cut=st.integers(0, 12))
def test_a_vector_depends_on_its_text_alone(shared: LexicalEncoder, texts: list[str], cut: int) -> None:
    whole = shared.encode(texts)
    assert np.array_equal(whole, np.concatenate([shared.encode(texts[:cut]), shared.encode(texts[cut:])]))
    for text, vector in zip(texts, whole, strict=True):
        assert np.array_equal(shared.encode([text])[0], vector)


@pytest.fixture(scope="module")
def shared() -> LexicalEncoder:
    return fitted(english(300)[0] + CHINESE[0])


def test_batches_and_threads_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = english(1500)[0] + [" ".join(english(4000, seed=1)[0])] + CHINESE[0] + [""]
    encoder = fitted(texts, threads=1)
    whole = encoder.encode(texts)
    monkeypatch.setattr(ngrams, "_BATCH_CHARACTERS", 5000)
    again = fitted(texts, threads=5)
    assert again.identity() == encoder.identity()
    assert np.array_equal(again.encode(texts), whole)


SCRIPT = """
import sys
from tests_texts import texts
from tithe.embedders.lexical import LexicalEncoder
import hashlib
encoder = LexicalEncoder(dimensions=64)
encoder.fit(texts, seed=3)
print(encoder.identity()["sha256"], hashlib.sha256(encoder.encode(texts).tobytes()).hexdigest())
"""


def test_the_threads_of_blas_change_no_bit(tmp_path: Path) -> None:
    texts = english(1500)[0]
    (tmp_path / "tests_texts.py").write_text(f"texts = {texts!r}\n", encoding="utf-8")
    package = Path(tithe.embedders.__file__).parents[2]

    def digests(threads: str) -> str:
        variables = {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "PYTHONHASHSEED": threads}
        path = os.pathsep.join([str(tmp_path), str(package)])
        return subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, **variables, "PYTHONPATH": path},
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    assert digests("1") == digests("2") != ""


def test_the_identity_follows_the_sample_the_seed_and_the_options() -> None:
    texts = english(400)[0]
    base = fitted(texts).identity()
    assert fitted(texts).identity() == base
    others = [fitted(texts[1:]), fitted(texts, seed=1), fitted(texts, dimensions=32)]
    assert all(other.identity() != base for other in others)


def test_before_the_fit_there_is_nothing_to_encode_with() -> None:
    with pytest.raises(RuntimeError, match="fitted"):
        LexicalEncoder().encode(["text"])
    with pytest.raises(RuntimeError, match="fitted"):
        LexicalEncoder().identity()


def test_of_long_texts_the_beginning_is_read() -> None:
    novel = "it was the best of times it was the worst of times " * 20_000
    encoder = fitted([novel, *english(100)[0]])
    beginning, whole = encoder.encode([novel[: ngrams.MAX_CHARACTERS], novel])
    assert np.array_equal(beginning, whole)


def test_of_a_sample_that_is_too_large_the_longest_texts_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    short = english(50)[0]
    long = [" ".join(english(40, seed=i)[0]) for i in range(1, 4)]
    monkeypatch.setattr(lexical, "_FIT_CHARACTERS_IN_ALL", sum(map(len, short)) + 3 * 500 + 2)
    cut = fitted(short + [text[:500] for text in long]).identity()
    assert fitted(short + long).identity() == cut
    assert fitted(short + [text[:450] for text in long]).identity() != cut
