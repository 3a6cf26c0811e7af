"""`tithe centers`: it checks what `tithe select` checks, before the long work."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import Tithe, make_records, write_jsonl


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--tokens", "900", "--encoder", "column:vector"), "reads no text to count"),
        (("--tokens", "900", "--token-column", "length"), "--token-column length"),
        (("--text", "no"), "the text field 'no' is not in"),
        (("--encoder", "column:no"), "--encoder column:no"),
    ],
)
def test_what_the_corpus_rules_out_is_said_in_one_line(
    tithe: Tithe, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    records = [{**record, "vector": [1.0, record["loss"]]} for record in make_records(60)]
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "c.parquet")
    for command in ("centers", "select"):
        ran = tithe(command, "c.parquet", "-o", "o.jsonl", *arguments)
        assert (ran.code, ran.err.count("\n"), said in ran.err) == (2, 1, True), ran.err
    assert not (tmp_path / "o.jsonl").exists()


def test_no_input_is_overwritten_and_no_folder_of_inputs_gets_the_centres(tithe: Tithe, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    corpus = write_jsonl(tmp_path / "data" / "c.jsonl", make_records(60))
    before = corpus.read_bytes()
    ran = tithe("centers", "data/c.jsonl", "-o", "data/c.jsonl", "--force")
    assert (ran.code, "is an input and an output" in ran.err) == (2, True)
    assert corpus.read_bytes() == before
    ran = tithe("centers", "data", "-o", "data/centers.jsonl")
    assert (ran.code, "lies in the input folder data" in ran.err) == (2, True)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["c.jsonl"]


def test_it_says_how_tokens_are_counted(tithe: Tithe, corpus: Path) -> None:
    ran = tithe("centers", corpus, "-o", "o.jsonl", "--tokens", "900")
    assert (ran.code, "tokens: estimated, 4 characters each; --tokenizer counts them" in ran.err) == (0, True), ran.err
