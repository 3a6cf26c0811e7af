"""Texts that are empty are counted, and said, whoever reads them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Tithe, make_records, write_jsonl
from tithe.embedders.registry import make_encoder
from tithe.selection.engine.executor import InProcess
from tithe.selection.options.options import Options
from tithe.selection.pipeline import select

TOLD = "text: 80 of 200 are empty by text; --text or --template reads others"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """200 records, of which 80 have no text: two in five."""
    empty = ("", " \n\t", "\u3000")
    records = make_records(200)
    for i, record in enumerate(records):
        record["text"] = record["text"] if i % 5 > 1 else empty[i % 3]
    (tmp_path / "in").mkdir()
    write_jsonl(tmp_path / "in" / "a.jsonl", records[:90])
    write_jsonl(tmp_path / "in" / "b.jsonl", records[90:])
    return tmp_path / "in"


def test_every_command_that_reads_them_says_how_many(tithe: Tithe, corpus: Path, tmp_path: Path) -> None:
    options = ("--size", "40", "--clusters", "10")
    for arguments in (
        ("select", corpus, *options, "--dry-run"),
        ("select", corpus, *options, "-o", "s.jsonl"),
        ("select", corpus, *options, "-o", "found-again.jsonl"),
        ("centers", corpus, *options, "-o", "c.jsonl"),
    ):
        ran = tithe(*arguments)
        assert ran.code == 0, ran.err
        assert ran.err.splitlines().count(TOLD) == 1, ran.err
    assert json.loads((tmp_path / "s.jsonl.manifest.json").read_text())["text"]["empty"] == 80
    assert tithe("select", corpus, *options, "-o", "q.jsonl", "--quiet").err == ""


def test_a_field_that_was_named_is_read_however_many_are_empty(tithe: Tithe, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "c.jsonl", [{"text": "" if i else "x"} for i in range(50)])
    refused = tithe("select", "c.jsonl", "-o", "s.jsonl", "--size", "10")
    assert (refused.code, "text is empty in" in refused.err) == (2, True)
    ran = tithe("select", "c.jsonl", "-o", "s.jsonl", "--size", "10", "--text", "text")
    assert (ran.code, "text: 49 of 50 are empty by text" in ran.err) == (0, True)


@pytest.mark.parametrize("part_bytes", [1 << 20, 3000])
def test_parts_say_the_same_together(corpus: Path, tmp_path: Path, part_bytes: int) -> None:
    for output in ("s.jsonl", "found-again.jsonl"):
        told: list[str] = []
        options = Options(inputs=(str(corpus),), output=tmp_path / output, work_dir=tmp_path / "w", size=40)
        (made,) = select(options, make_encoder("lexical"), executor=InProcess(part_bytes), notify=told.append)
        assert told.count(TOLD) == 1
        assert made.manifest["text"]["empty"] == 80


def test_records_that_are_left_out_are_not_among_them(tithe: Tithe, corpus: Path) -> None:
    with (corpus / "a.jsonl").open("a") as out:
        out.write('{"text": null}\nbroken\n')
    ran = tithe("select", corpus, "-o", "s.jsonl", "--size", "40", "--on-bad-record", "skip")
    assert (ran.code, TOLD in ran.err) == (0, True), ran.err


def test_a_corpus_with_texts_is_told_nothing(tithe: Tithe, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "c.jsonl", make_records(50))
    assert "empty" not in tithe("select", "c.jsonl", "-o", "s.jsonl", "--size", "10").err
