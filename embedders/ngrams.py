"""Texts to counts of hashed n-grams, for a whole batch at once.

The features of a text are its tokens, the pairs of neighbouring tokens, and the beginnings of its longer
words. Tokens are words in lower case, single punctuation marks and symbols, and single characters of the
scripts that put no spaces between words. No feature is ever a Python object: all is arithmetic on the UTF-8
bytes of the batch. That is several times as fast as a loop over tokens, and since numpy lets go of the
interpreter's lock meanwhile, threads share the work.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

BUCKETS = 1 << 20
"""How many hash values the features of a text can take."""

MAX_CHARACTERS = 1 << 18
"""What is read of a text. The beginning of a longer one tells its topic, and memory stays bounded."""

PREFIX = 4
"""Words of more letters than this also give their beginning as a feature: it stands in for a stemmer."""

_BATCH_CHARACTERS = 1 << 18  # the arrays of a batch stay in the caches
_BATCH_TEXTS = (1 << 32) // BUCKETS  # (text, bucket) fits into 32 bits

_SEPARATOR, _WORD, _LONE = 0, 1, 2

# Scripts without spaces between words: Thai, Lao; Burmese; Khmer; Chinese and Japanese in their blocks.
_UNSPACED = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x2E80, 0x312F), (0x31A0, 0x31FF),
    (0x3400, 0x9FFF), (0xF900, 0xFAFF), (0xFF66, 0xFF9F),
)  # fmt: skip

_RADIX = 0x9E3779B97F4A7C15  # odd, hence invertible modulo 2^64
_PAIR = np.uint64(0x9FB21C651E98DF25)
_PREFIX_SALT = np.uint64(0x5851F42D4C957F2D)
_MIX = np.uint64(0xD6E8FEB86659FD93)

SparseRows: TypeAlias = Any
"""A scipy.sparse.csr_array. scipy has no type hints, and what type checkers infer from its code is wrong."""

Hashes = npt.NDArray[np.uint64]
Positions = npt.NDArray[np.int64]


def batches(texts: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
    """Cut texts into runs that `count` can take, each with the position of its first text."""
    first = characters = 0
    for i, text in enumerate(texts):
        size = min(len(text), MAX_CHARACTERS)
        if i > first and (characters + size > _BATCH_CHARACTERS or i - first == _BATCH_TEXTS):
            yield first, texts[first:i]
            first, characters = i, 0
        characters += size
    if first < len(texts):
        yield first, texts[first:]


def count(texts: Sequence[str], columns: npt.NDArray[np.integer], n_columns: int) -> SparseRows:
    """How often each text holds each feature: a sparse array of shape (len(texts), n_columns), float32.

    `columns` maps each of the BUCKETS to a column. At most the texts of one batch at a time. Row i depends on
    `texts[i]` alone, down to the order in which its columns are stored.
    """
    row, bucket = _features([text[:MAX_CHARACTERS] for text in texts])
    key = row.astype(np.uint32)
    key *= np.uint32(n_columns)
    key += columns[bucket].astype(np.uint32)
    key.sort()
    first = np.flatnonzero(np.diff(key, prepend=~key[:1]))
    counts = np.diff(first, append=key.size).astype(np.float32)
    row, column = np.divmod(key[first], np.uint32(n_columns))
    pointers = np.searchsorted(row, np.arange(len(texts) + 1, dtype=np.uint32))
    return sp.csr_array((counts, column.view(np.int32), pointers.astype(np.int32)), (len(texts), n_columns))


def _features(texts: Sequence[str]) -> tuple[Positions, npt.NDArray[np.int64]]:
    """The text and the bucket of every feature, repeats and all, in no order that matters."""
    content, offsets = _lower_case(texts)
    starts, ends = _tokens(content, offsets)
    row = np.repeat(np.arange(len(texts)), np.diff(np.searchsorted(starts, offsets)))

    # The hash of a span is a polynomial in its bytes: the difference of two prefix sums, moved to the origin.
    powers, inverse = _powers(1 << max(content.size, 1 << 18).bit_length())
    sums = np.zeros(content.size + 1, np.uint64)
    np.cumsum((content + np.uint64(1)) * powers[: content.size], out=sums[1:])
    token = (sums[ends] - sums[starts]) * inverse[starts]

    reach = PREFIX * _sequence_length(content[starts])
    long = np.flatnonzero(ends - starts > reach)
    begin = starts[long]
    prefix = ((sums[begin + reach[long]] - sums[begin]) * inverse[begin]) ^ _PREFIX_SALT

    same = np.flatnonzero(row[1:] == row[:-1])
    pair = token[same] * _PAIR + token[same + 1]

    hashes = np.concatenate([token, prefix, pair])
    return np.concatenate([row, row[long], row[same]]), _bucket(hashes)


def _lower_case(texts: Sequence[str]) -> tuple[npt.NDArray[np.uint8], Positions]:
    """The UTF-8 bytes of the texts in lower case, end to end, and where each begins (and the last ends)."""
    array = pc.call_function("utf8_lower", [pa.array(texts, pa.large_string())])
    _, offsets, content = array.buffers()
    where = np.frombuffer(offsets, np.int64, len(texts) + 1)
    return np.frombuffer(content or b"", np.uint8, where[-1]), where


def _tokens(content: npt.NDArray[np.uint8], offsets: Positions) -> tuple[Positions, Positions]:
    """Where the tokens begin and end, in order of place; none reaches over the border of two texts."""
    classes = _classes()
    kind = classes[content]
    if content.size and content.max() >= 0x80:
        _classify_beyond_ascii(content, kind, classes)
    border = np.empty(content.size, bool)
    border[:1] = True
    np.not_equal(kind[1:], kind[:-1], out=border[1:])
    border |= (kind == _LONE) & (content & 0xC0 != 0x80)
    border[offsets[offsets < content.size]] = True
    starts = np.flatnonzero(border)
    ends = np.append(starts[1:], content.size)
    kept = np.flatnonzero(kind[starts])
    return starts[kept], ends[kept]


def _classify_beyond_ascii(
    content: npt.NDArray[np.uint8], kind: npt.NDArray[np.uint8], classes: npt.NDArray[np.uint8]
) -> None:
    """Give every byte of a multi-byte character the class of that character."""
    lead = np.flatnonzero(content >= 0xC0)
    length = _sequence_length(content[lead])
    # One byte more than there is would be read behind a two-byte character at the very end.
    bits = np.append(content, 0) & 0x3F
    low, lower = bits[lead + 1].astype(np.intp), bits[np.minimum(lead + 2, content.size)]
    two = (content[lead] & np.intp(0x1F)) << 6 | low
    three = (content[lead] & np.intp(0x0F)) << 12 | low << 6 | lower
    character = classes[np.where(length == 2, two, three)]
    # Beyond the basic plane: emoji, rare Chinese characters, historic scripts.
    character[length == 4] = _LONE
    for i in range(4):
        there = length > i
        kind[lead[there] + i] = character[there]


def _sequence_length(first: npt.NDArray[np.uint8]) -> Positions:
    """How many bytes the UTF-8 character has that begins with this byte."""
    return 1 + (first >= 0xC0).astype(np.int64) + (first >= 0xE0) + (first >= 0xF0)


@functools.cache
def _classes() -> npt.NDArray[np.uint8]:
    """The class of every character of Unicode's basic plane.

    By Unicode 3.2, which every Python carries unchanged: vectors must not depend on the version of Python.
    """
    category = unicodedata.ucd_3_2_0.category
    classes = np.full(1 << 16, _WORD, np.uint8)
    for code in range(1 << 16):
        name = category(chr(code))
        if name[0] == "Z" or name in ("Cc", "Cf"):
            classes[code] = _SEPARATOR
        elif name[0] in "PS":
            classes[code] = _LONE
    for first, last in _UNSPACED:
        block = classes[first : last + 1]
        block[block == _WORD] = _LONE
    classes[ord("_")] = _WORD
    return classes


@functools.lru_cache(maxsize=4)
def _powers(size: int) -> tuple[Hashes, Hashes]:
    """The powers 0 to size - 1 of the radix modulo 2^64, and those of its inverse."""

    def powers(base: int) -> Hashes:
        factors = np.full(size, base, np.uint64)
        factors[0] = 1
        return np.multiply.accumulate(factors)

    return powers(_RADIX), powers(pow(_RADIX, -1, 1 << 64))


def _bucket(hashes: Hashes) -> npt.NDArray[np.int64]:
    """Spread hashes evenly: the low bits of a polynomial modulo 2^64 depend on too little of the text."""
    hashes ^= hashes >> np.uint64(32)
    hashes *= _MIX
    hashes ^= hashes >> np.uint64(32)
    hashes *= _MIX
    hashes >>= np.uint64(64 - (BUCKETS.bit_length() - 1))
    return hashes.view(np.int64)
