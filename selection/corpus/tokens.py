"""How many tokens each record has: read from a field, counted by a tokenizer, or estimated."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tithe.embedders.reading import check_regular_below
from tithe.selection.arrays import Tokens
from tithe.selection.corpus.bad_records import BadRecords
from tithe.selection.corpus.corpus import Corpus, check_field
from tithe.selection.corpus.text import TextRule
from tithe.selection.corpus.usable import usable_texts
from tithe.selection.engine.stages import Advance
from tithe.selection.errors import TitheError, UsageError, first_line
from tithe.selection.options.options import Options

CHARACTERS_A_TOKEN = 4
"""The estimate: about right for English and a vocabulary of a modern model, too low for other scripts and for code."""

# Records whose tokens a forecast counts.
_TRIED = 10_000

_MOST = 2**32 - 1


def describe_counting(options: Options) -> str:
    """Where the numbers are from, for people."""
    if options.token_column is not None:
        return f"of the field {options.token_column}"
    if options.tokenizer is not None:
        return f"counted by {options.tokenizer}"
    return f"estimated, {CHARACTERS_A_TOKEN} characters each; --tokenizer counts them"


def check_countable(options: Options, corpus: Corpus, rule: TextRule | None) -> None:
    """Raise, before the long work, where `--tokens` cannot know how long the records are."""
    if options.tokens is None:
        return
    if options.token_column is not None:
        check_field(corpus, options.token_column, f"--token-column {options.token_column}")
    elif rule is None:
        raise UsageError(
            f"--tokens: --encoder {options.encoder} reads no text to count; name a field with --token-column"
        )
    elif options.tokenizer is not None:
        load_tokenizer(options.tokenizer)


@dataclass(frozen=True)
class Counting:
    """How tokens are counted: read from a field, by a tokenizer, or, where there is neither, estimated."""

    column: str | None
    tokenizer: str | None

    @property
    def estimates(self) -> bool:
        return self.column is None and self.tokenizer is None


def count_tokens(
    counting: Counting,
    corpus: Corpus,
    rule: TextRule | None,
    bad: BadRecords,
    characters: Tokens | None,
    advance: Advance,
) -> Tokens:
    """The number of tokens of each usable record, shape (n,), 4 bytes each.

    `characters` are those of the records' texts. Raises TitheError where a field holds no such number, or the
    tokenizer cannot be had.
    """
    if counting.estimates:
        assert characters is not None
        return estimated(characters)
    found = [np.empty(0, np.uint32)]
    for rows, counts in counted(counting, corpus, rule, bad):
        found.append(counts[~np.isin(rows, bad.rows())])
        advance(len(rows))
    return np.concatenate(found)


def but_late(
    counts: npt.NDArray[Any], bad_before: npt.NDArray[np.int64], bad: npt.NDArray[np.int64]
) -> npt.NDArray[Any]:
    """The numbers of the usable records, where some were found bad only after they were counted; rows ascending."""
    late = np.setdiff1d(bad, bad_before)
    return np.delete(counts, late - np.searchsorted(bad_before, late)) if len(late) else counts


def mean_of_some(counting: Counting, corpus: Corpus, rule: TextRule | None, bad: BadRecords) -> float:
    """The mean number of tokens of the first usable records; 1 where there are none."""
    total = records = 0
    if counting.estimates:
        assert rule is not None
        parts = (
            (rows, estimated(np.fromiter(map(len, texts), np.uint32, len(texts))))
            for rows, texts in usable_texts(corpus, rule, bad, lambda count: None)
        )
    else:
        parts = counted(counting, corpus, rule, bad)
    for rows, counts in parts:
        total, records = total + int(counts.sum(dtype=np.int64)), records + len(rows)
        if records >= _TRIED:
            break
    return total / records if records else 1.0


def estimated(characters: Tokens) -> Tokens:
    """Numbers of tokens, rounded up, from numbers of characters."""
    return (-(-characters.astype(np.int64) // CHARACTERS_A_TOKEN)).astype(np.uint32)


def counted(
    counting: Counting, corpus: Corpus, rule: TextRule | None, bad: BadRecords
) -> Iterator[tuple[npt.NDArray[np.int64], Tokens]]:
    """Rows of the corpus, and the tokens of each, as `--token-column` or `--tokenizer` says."""
    if counting.column is not None:
        yield from _of_column(corpus, counting.column, bad)
    else:
        assert rule is not None
        tokenizer = load_tokenizer(str(counting.tokenizer))
        for rows, texts in usable_texts(corpus, rule, bad, lambda count: None):
            ids = tokenizer(texts, return_attention_mask=False, verbose=False)["input_ids"] if texts else []
            yield rows, np.fromiter(map(len, ids), np.uint32, len(texts))


def load_tokenizer(name: str) -> Any:
    """A tokenizer of the library transformers, from a folder or, where the network allows, from the hub.

    No code that comes with it is run. Raises TitheError where it cannot be had.
    """
    if importlib.util.find_spec("transformers") is None:
        raise TitheError(f"--tokenizer {name}: needs the extra: pip install 'tithe[model]'")
    local = Path(name).is_dir()
    try:
        if local:
            check_regular_below(Path(name))
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(name, trust_remote_code=False, local_files_only=local)
    except Exception as error:  # nearly anything: OSError, ValueError, a plain Exception of the tokenizers' own
        raise TitheError(f"--tokenizer {name}: cannot be loaded ({first_line(error)})") from error


def _of_column(corpus: Corpus, name: str, bad: BadRecords) -> Iterator[tuple[npt.NDArray[np.int64], Tokens]]:
    for batch in corpus.batches((name,)):
        column = batch.column(name)
        values = column if isinstance(column, list) else column.to_pylist()
        counts = np.zeros(len(batch), np.uint32)
        for i, value in enumerate(values):
            if _is_count(value):
                counts[i] = value
            elif int(batch.rows[i]) not in bad:
                raise TitheError(
                    f"{batch.place(i)}: --token-column {name}: a whole number from 0 to {_MOST:,} is needed, "
                    f"not {value!r}"
                )
        yield batch.rows, counts


def _is_count(value: Any) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return (whole or (isinstance(value, float) and value.is_integer())) and 0 <= value <= _MOST
