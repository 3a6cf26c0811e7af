"""Footers: what good ones say is understood, and what cannot be true is refused before Arrow believes it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.selection.corpus.fuzz import thrift
from tests.selection.corpus.fuzz.cases import parquet_files
from tests.selection.corpus.fuzz.thrift import BINARY, I32, I64, STRUCT
from tithe.selection.corpus.corpus import Corpus, open_corpus
from tithe.selection.corpus.footer import read_footer
from tithe.selection.errors import TitheError


def opened(folder: Path, content: bytes) -> Corpus:
    (folder / "a.parquet").write_bytes(content)
    read_footer.cache_clear()
    return open_corpus([str(folder / "a.parquet")], spool=folder)


def test_good_footers_say_what_arrow_says(tmp_path: Path) -> None:
    for content in parquet_files():
        footer = read_footer(opened(tmp_path, content).files[0])
        metadata = pq.ParquetFile(io.BytesIO(content)).metadata
        groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
        columns = [[group.column(i) for i in range(group.num_columns)] for group in groups]
        assert footer.rows == metadata.num_rows
        assert footer.group_rows.tolist() == [group.num_rows for group in groups]
        assert footer.sizes.tolist() == [[column.total_uncompressed_size for column in row] for row in columns]
        assert footer.shared.tolist() == [
            [column.has_dictionary_page and column.physical_type == "BYTE_ARRAY" for column in row] for row in columns
        ]


def changed(change: Callable[[list], object]) -> bytes:
    """A file of 30 rows in three row groups, with a change to its footer."""
    table = pa.table({"text": [f"text {i}" for i in range(30)], "more": [[i] * (i % 3) for i in range(30)]})
    sink = io.BytesIO()
    pq.write_table(table, sink, row_group_size=10, use_dictionary=False)
    content = sink.getvalue()
    start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    footer, _ = thrift.decode(content, start)
    change(footer)
    encoded = thrift.encode(footer)
    return content[:start] + encoded + len(encoded).to_bytes(4, "little") + b"PAR1"


def group(footer: list, i: int = 1) -> list:
    return thrift.value(footer, 4)[1][i]


def column(footer: list, i: int = 0) -> list:
    """What is said of a column of the second row group."""
    return thrift.value(thrift.value(group(footer), 1)[1][i], 3)


def element(footer: list, i: int = 1) -> list:
    return thrift.value(footer, 2)[1][i]


def put(fields: list, number: int, value: object) -> None:
    entry = thrift.field(fields, number)
    assert entry is not None
    entry[2] = value


def put_groups(footer: list, depth: int) -> None:
    """Groups of one column each around the first column."""
    thrift.value(footer, 2)[1][1:1] = [[[3, I32, 0], [4, BINARY, b"g"], [5, I32, 1]] for _ in range(depth)]


CASES: dict[str, tuple[Callable[[list], object], str]] = {
    "more rows in the footer": (lambda f: put(f, 3, 31), "its row groups hold 30 rows, its footer says 31"),
    "more rows than there can be": (lambda f: (put(f, 3, 2**60 + 20), put(group(f), 3, 2**60)), "has 10 values for 1152921504606846976 rows"),
    "fewer rows than none": (lambda f: put(group(f), 3, -1), "its footer says there are -1 rows"),
    "rows moved to the next group": (lambda f: (put(group(f, 0), 3, 12), put(group(f), 3, 8)), "has 10 values for 12 rows"),
    "values that are lists, too few": (lambda f: put(column(f, 1), 5, 9), "has 9 values for 10 rows"),
    "a group without columns": (lambda f: put(group(f), 1, [STRUCT, []]), "row group 1 has 0 columns, the schema 2"),
    "a column without a description": (lambda f: thrift.value(group(f), 1)[1][0].pop(), "is not described"),
    "pages after the end": (lambda f: put(column(f), 9, 10**6), "a column lies outside the file"),
    "pages before the beginning": (lambda f: put(column(f), 9, -5), "a column lies outside the file"),
    "pages larger than the file": (lambda f: put(column(f), 7, 2**61), "a column lies outside the file"),
    "a name that is no UTF-8": (lambda f: put(element(f), 4, b"\xff\n"), r"the name of a column is no UTF-8: b'\\xff\\n'"),
    "a missing column": (lambda f: put(element(f, 0), 5, 3), "its schema lacks columns"),
    "a column too many": (lambda f: put(element(f, 0), 5, 1), "its schema holds more than one tree"),
    "no schema": (lambda f: put(f, 2, [STRUCT, []]), "it has no schema"),
    "groups in groups in groups": (lambda f: put_groups(f, 50_000), "nested more than 100 levels"),
    "a number where a list should be": (lambda f: f.insert(0, [4, I64, 3]) or f.pop(4), "its footer is not readable"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_footer_that_cannot_be_true_is_refused(tmp_path: Path, case: str) -> None:
    change, message = CASES[case]
    with pytest.raises(TitheError, match=rf"a\.parquet: .*damaged \(.*{message}"):
        opened(tmp_path, changed(change))


def test_statistics_that_arrow_aborts_on_end_in_an_error_or_are_not_looked_at(tmp_path: Path) -> None:
    def wrong_histogram(footer: list) -> None:
        column(footer)[:] = [entry for entry in column(footer) if entry[0] != 16]
        column(footer).append([16, STRUCT, [[3, thrift.LIST, [I64, [1] * 9]]]])

    corpus = opened(tmp_path, changed(wrong_histogram))
    assert corpus.row_count() == 30
    with pytest.raises(TitheError, match=r"a\.parquet: .*damaged \(.*histogram"):
        list(corpus.batches(None))


def test_pages_with_fewer_rows_than_the_footer_says_are_noticed(tmp_path: Path) -> None:
    def one_more(footer: list) -> None:
        put(footer, 3, 31)
        put(group(footer, 2), 3, 11)
        for chunk in thrift.value(group(footer, 2), 1)[1]:
            put(thrift.value(chunk, 3), 5, 11)

    corpus = opened(tmp_path, changed(one_more))
    with pytest.raises(TitheError, match=r"a\.parquet: .*there are 11 rows in row group 2, but there are 10"):
        list(corpus.batches(("text",)))
    with pytest.raises(TitheError, match=r"a\.parquet: .*there are 11 rows in row group 2, but there are 10"):
        list(corpus.take(np.array([30]), ("text",)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"PAR1", "there is no footer at its end"),
        (b"x" * 100, "there is no footer at its end"),
        (b"PAR1" + b"\xff\xff\xff\x7fPAR1", "the footer is longer than the file"),
        (b"PAR1\0\0\0\0PAR1", "its footer is not readable"),
        (b"PAR1\x19\xff\xff\xff\xff\x0f\x06\0\0\0PAR1", "its footer is not readable"),
    ],
)
def test_what_is_no_parquet_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(TitheError, match=rf"a\.parquet: is no Parquet file, .*{message}"):
        opened(tmp_path, content)


def test_an_encrypted_file_is_called_so(tmp_path: Path) -> None:
    with pytest.raises(TitheError, match="is encrypted"):
        opened(tmp_path, changed(lambda footer: None)[:-1] + b"E")


def test_a_row_that_arrow_passes_over_is_missed(tmp_path: Path) -> None:
    """Arrow 26 reads no row at all where the first page of a single row's list is empty."""
    sink = io.BytesIO()
    pq.write_table(pa.table({"v": [["a"]]}), sink, data_page_size=1)
    corpus = opened(tmp_path, sink.getvalue())
    assert corpus.row_count() == 1
    try:
        (batch,) = corpus.batches(None)
    except TitheError as error:
        assert "there are 1 rows in row group 0, but there are 0" in str(error)
    else:
        assert batch.records() == [{"v": ["a"]}]
