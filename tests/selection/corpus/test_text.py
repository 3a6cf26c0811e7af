"""From records to texts: the layouts people have, fields, templates, and what is refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tithe.selection.corpus.corpus import open_corpus
from tithe.selection.corpus.text import DETECTED, BadText, choose_rule, detect, rule_from_fields, rule_from_template
from tithe.selection.errors import UsageError

CHAT = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
PARTS = [{"role": "user", "content": [{"type": "text", "text": "Look"}, {"type": "image", "url": "x"}, "here"]}]


@pytest.mark.parametrize(
    ("record", "name", "text"),
    [
        ({"messages": CHAT, "text": "other"}, "messages", "Hi\nHello"),
        ({"messages": PARTS}, "messages", "Look\nhere"),
        ({"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}, "conversations", "a\nb"),
        ({"prompt": "p", "completion": "c"}, "prompt + completion", "p\nc"),
        ({"prompt": CHAT[:1], "completion": CHAT[1:]}, "prompt + completion", "Hi\nHello"),
        ({"instruction": "i", "input": "", "output": "o"}, "instruction + input + output", "i\no"),
        ({"instruction": "i", "input": "n", "output": "o"}, "instruction + input + output", "i\nn\no"),
        ({"instruction": "i", "output": "o"}, "instruction + input + output", "i\no"),
        ({"question": "q", "answer": "a"}, "question + answer", "q\na"),
        ({"text": "t", "id": 3}, "text", "t"),
    ],
)
def test_the_common_layouts_are_found(record: dict, name: str, text: str) -> None:
    rule = detect([{"id": 1}, record])
    assert rule is not None
    assert rule.name == name
    assert rule.text(record) == text


@pytest.mark.parametrize(
    "empty",
    [
        {"conversations": []},
        {"conversations": None},
        {"conversations": [{"from": "human", "value": ""}, {"from": "gpt", "value": None}]},
        {"messages": [{"role": "assistant", "content": None, "tool_calls": []}]},
        {"messages": [{"role": "user", "content": [{"type": "image", "url": "x"}]}]},
        {"prompt": "", "completion": ""},
        {"messages": [{"role": "user", "content": " "}], "conversations": []},
    ],
    ids=str,
)
@pytest.mark.parametrize("full", [{"instruction": "i", "output": "o"}, {"text": "t"}], ids=["instruction", "text"])
def test_a_layout_that_leaves_most_texts_empty_gives_way_to_one_that_does_not(empty: dict, full: dict) -> None:
    rule = detect([{**empty, **full}] * 5)
    assert rule is not None
    assert rule.name.startswith(next(iter(full)))
    assert detect([{**empty, "id": i} for i in range(5)]) is None


@pytest.mark.parametrize(("with_chat", "expected"), [(5, "messages"), (4, "text")])
def test_half_of_the_texts_make_a_layout(with_chat: int, expected: str) -> None:
    records = [{"messages": CHAT if i < with_chat else [], "text": "t"} for i in range(10)]
    rule = detect(records)
    assert rule is not None
    assert rule.name == expected


def test_records_without_a_text_are_no_empty_ones_so_that_they_are_reported() -> None:
    rule = detect([{"text": "t"}, {"text": None}, {"id": 1}, {"id": 2}, {"text": "u"}])
    assert rule is not None
    assert rule.name == "text"
    assert detect([{"text": "t"}, {"text": " "}, {"text": "\n"}, {"id": 2}]) is None


def test_where_no_layout_fits_none_is_found() -> None:
    assert detect([{"content": "x"}, {"messages": "no list"}, {"prompt": "p"}]) is None


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"prompt": "p"}, "'completion' is missing"),
        ({"prompt": "p", "completion": None}, "'completion' is null"),
        ({"prompt": 3, "completion": "c"}, "'prompt' is no string but a int"),
        ({"instruction": "i", "input": 3, "output": "o"}, "'input' is no string but a int"),
        ({"messages": [{"from": "human", "value": "x"}]}, "'messages' holds no message with 'content'"),
        ({"conversations": CHAT}, "'conversations' holds no message with 'value'"),
    ],
)
def test_a_missing_or_null_text_is_a_bad_record_with_a_reason(record: dict, reason: str) -> None:
    (rule,) = (rule for rule in DETECTED if rule.name.startswith(next(iter(record))))
    with pytest.raises(BadText, match=reason):
        rule.text(record)


RECORD = {
    "a": {"b": "deep", "list": [{"x": 1.5}, "two"]},
    "a.b": "flat",
    "n": 7,
    "yes": True,
    "chat": CHAT,
    "object": {"ü": [1, None]},
    "null": None,
}


@pytest.mark.parametrize(
    ("paths", "text"),
    [
        (["n"], "7"),
        (["yes", "n"], "true\n7"),
        (["a.list.0.x"], "1.5"),
        (["a.list.1"], "two"),
        (["a.b"], "flat"),
        (["chat"], "Hi\nHello"),
        (["object"], '{"ü":[1,null]}'),
        (["chat.1.content"], "Hello"),
    ],
)
def test_fields_by_dotted_paths(paths: list[str], text: str) -> None:
    assert rule_from_fields(paths).text(RECORD) == text


@pytest.mark.parametrize("path", ["missing", "null", "a.c", "a.list.9", "a.list.x", "n.m", "a.list.-1"])
def test_paths_that_lead_nowhere_make_a_bad_record(path: str) -> None:
    with pytest.raises(BadText, match="missing or null"):
        rule_from_fields([path]).text(RECORD)


def test_a_field_with_dots_in_its_name_is_read_as_such() -> None:
    assert rule_from_fields(["a.b", "n"], names=["a.b", "n"]).fields == ("a.b", "n")
    assert rule_from_fields(["a.b"], names=["a"]).fields == ("a",)


def test_a_template_fills_in_fields_and_keeps_doubled_braces() -> None:
    rule = rule_from_template("Q: {a.list.1} {{json}}\n{n}!")
    assert rule.text(RECORD) == "Q: two {json}\n7!"
    assert rule.fields == ("a", "n")


@pytest.mark.parametrize(
    "template", ["{n!r}", "{n:>10}", "{a[list]}", "{}", "no field", "{n", "n}", "{{n}}", "{n.__class__:x}"]
)
def test_templates_that_reach_for_more_than_fields_are_refused(template: str) -> None:
    with pytest.raises(UsageError, match="--template"):
        rule_from_template(template)


def test_templates_cannot_reach_into_python_objects() -> None:
    with pytest.raises(BadText):
        rule_from_template("{n.__class__.__mro__}").text(RECORD)


def test_lone_surrogates_become_replacement_characters() -> None:
    assert rule_from_fields(["t"]).text({"t": "a\ud800b"}) == "a\ufffdb"


def chosen(tmp_path: Path, content: str, **options: Any) -> Any:
    (tmp_path / "a.jsonl").write_text(content)
    return choose_rule(open_corpus([str(tmp_path / "a.jsonl")], spool=tmp_path), **options)


def test_a_corpus_without_a_known_layout_gets_its_fields_listed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a\.jsonl: which field is the text\? .*--text.*body, title"):
        chosen(tmp_path, '{"body": "b", "title": "t"}\n')


def test_a_field_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'boddy' is not in .*body, title"):
        chosen(tmp_path, '{"body": "b", "title": "t"}\n', fields=["boddy"])


def in_order(records: list[dict]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


EMPTY_FIRST = [{"messages": [], "text": f"t {i}", "early": i} for i in range(600)]
FULL_LATER = [{"messages": CHAT, "text": f"t {i}", "late": i} for i in range(2000)]


@pytest.mark.parametrize("layout", ["one file", "files", "gzip", "parquet", "standard input"])
@pytest.mark.parametrize(
    ("records", "expected"), [(EMPTY_FIRST + FULL_LATER, "messages"), (FULL_LATER[:300] + EMPTY_FIRST * 3, "text")]
)
def test_a_sorted_corpus_is_known_by_more_than_its_beginning(
    tmp_path: Path, layout: str, records: list[dict], expected: str
) -> None:
    stdin = None
    if layout == "files":
        for i in range(0, len(records), 100):
            (tmp_path / f"{i:05}.jsonl").write_text(in_order(records[i : i + 100]))
    elif layout == "gzip":
        (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(in_order(records).encode()))
    elif layout == "parquet":
        kept = [{"messages": record["messages"], "text": record["text"]} for record in records]
        pq.write_table(pa.Table.from_pylist(kept), tmp_path / "a.parquet", row_group_size=200)
    else:
        (tmp_path / "a.jsonl").write_text(in_order(records))
    spool = tmp_path / "spool"
    spool.mkdir()
    if layout == "standard input":
        stdin = (tmp_path / "a.jsonl").open("rb")
    corpus = open_corpus(["-" if stdin else str(tmp_path)], spool=spool, stdin=stdin)
    assert choose_rule(corpus).name == expected
    assert {"messages", "text"} <= set(corpus.field_names())
    if layout != "parquet":
        assert choose_rule(corpus, fields=["late"]).fields == ("late",)
    if stdin:
        stdin.close()


def test_a_corpus_whose_layouts_are_mostly_empty_gets_told_so(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"Of 10 records looked at, messages is empty in 10, text is empty in 7\. Name it"
    ):
        chosen(tmp_path, in_order([{"messages": [], "text": "t" if i < 3 else " "} for i in range(10)]))


def test_a_corpus_without_records_is_not_asked_for_its_text(tmp_path: Path) -> None:
    pq.write_table(pa.table({"body": pa.array([], pa.string())}), tmp_path / "a.parquet")
    assert choose_rule(open_corpus([str(tmp_path / "a.parquet")], spool=tmp_path)).name == "text"


def test_columns_that_python_has_no_value_for_do_not_matter_beside_a_text(tmp_path: Path) -> None:
    table = pa.table(
        {"text": ["a"], "when": pa.array([1], pa.timestamp("ns")), "day": pa.array([2**31 - 1], pa.date32())}
    )
    pq.write_table(table, tmp_path / "a.parquet")
    assert choose_rule(open_corpus([str(tmp_path / "a.parquet")], spool=tmp_path)).name == "text"


def test_a_value_nested_too_deeply_to_print_is_a_bad_record() -> None:
    value: list = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(BadText, match="nested too deeply"):
        rule_from_fields(["x"]).text({"x": value})
