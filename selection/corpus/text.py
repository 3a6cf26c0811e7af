"""From a record to the text that is embedded."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tithe.selection.corpus.corpus import Corpus
from tithe.selection.corpus.some import some_records
from tithe.selection.errors import UsageError, printable

Record = Mapping[str, Any]

_SURROGATES = re.compile("[\ud800-\udfff]")
_TEMPLATE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class BadText(Exception):
    """A record from which no text can be made; the message says why."""


@dataclass(frozen=True)
class TextRule:
    """How a record becomes a text."""

    name: str
    fields: tuple[str, ...]
    """The top-level fields it reads."""
    make: Callable[[Record], str]

    def text(self, record: Record) -> str:
        """The text of a record; raises BadText where a part is missing or null."""
        return encodable(self.make(record))


def choose_rule(corpus: Corpus, *, fields: Sequence[str] = (), template: str | None = None) -> TextRule:
    """The rule the user gave, or the first one that gives texts to records from all over the corpus.

    Raises UsageError where none does, or a field that was named is in none of them.
    """
    names = corpus.field_names()
    if fields or template is not None:
        rule = rule_from_fields(fields, names) if fields else rule_from_template(template or "", names)
        for field in rule.fields:
            if names and field not in names:
                raise UsageError(
                    f"the text field {field!r} is not in {corpus.files[0].path}, which has {_listed(names)}"
                )
        return rule
    # No other columns: they may be large, or hold what Python has no value for.
    records = some_records(corpus.files, {field for rule in DETECTED for field in rule.fields})
    rule = detect(records)
    if rule is None and records:
        emptied = [f"{rule.name} is empty in {empty:,}" for rule, _, empty in _tried(records) if empty]
        reason = f"Of {len(records):,} records looked at, {', '.join(emptied)}. " if emptied else ""
        raise UsageError(
            f"{corpus.files[0].path}: which field is the text? {reason}Name it with --text or --template; "
            f"there are {_listed(names)}"
        )
    return rule or rule_from_fields(["text"])


def detect(records: Sequence[Record]) -> TextRule | None:
    """The first rule in DETECTED that gives a text to half of the records; or else the first that gives more texts than
    it leaves empty: records of which it makes none are no silent loss, but bad ones."""
    tried = _tried(records)
    for rule, texts, _ in tried:
        if texts and 2 * texts >= len(records):
            return rule
    return next((rule for rule, texts, empty in tried if texts and texts >= empty), None)


def _tried(records: Sequence[Record]) -> list[tuple[TextRule, int, int]]:
    """Each rule in DETECTED, how many texts it makes of some records, and how many empty ones."""
    found = []
    for rule in DETECTED:
        empty = []
        for record in records:
            with suppress(BadText):
                empty.append(is_empty(rule.text(record)))
        found.append((rule, empty.count(False), empty.count(True)))
    return found


def is_empty(text: str) -> bool:
    """Whether nothing can be read there."""
    return not text or text.isspace()


def rule_from_fields(paths: Sequence[str], names: Sequence[str] = ()) -> TextRule:
    """The values of fields, joined by line ends; a path may go into objects and lists: `messages.0.content`.

    A top-level field whose name holds dots, one of `names`, wins over a path.
    """

    def make(record: Record) -> str:
        return "\n".join(_printed(_resolve(record, path), path) for path in paths)

    return TextRule(" + ".join(paths), _fields(paths, names), make)


def rule_from_template(template: str, names: Sequence[str] = ()) -> TextRule:
    """Text with `{field}` in it; `{{` and `}}` stand for braces.

    Only fields can be named: Python's own format language would let a template reach into objects.
    """
    parts: list[tuple[str, str]] = []  # literal text, and the path after it ("" at the end)
    literal, end = "", 0
    for match in _TEMPLATE.finditer(template):
        literal += template[end : match.start()]
        end = match.end()
        if match[0] in ("{{", "}}"):
            literal += match[0][0]
        elif match[1] is None:
            raise UsageError(f"--template: a lone {match[0]!r}; write it twice for a brace")
        elif not match[1] or re.search(r"[!:\[\]]", match[1]):
            raise UsageError(f"--template: {match[0]!r} names no field; only {{field}} and {{a.b}} can be used")
        else:
            parts.append((literal, match[1]))
            literal = ""
    if not parts:
        raise UsageError("--template: names no field, as in '{instruction}\\n{output}'")
    tail = literal + template[end:]

    def make(record: Record) -> str:
        return "".join(text + _printed(_resolve(record, path), path) for text, path in parts) + tail

    return TextRule(f"template {template!r}", _fields([path for _, path in parts], names), make)


def _messages(record: Record) -> str:
    return _chat(present(record, "messages"), "messages", "content")


def _conversations(record: Record) -> str:
    return _chat(present(record, "conversations"), "conversations", "value")


def _prompt_completion(record: Record) -> str:
    return "\n".join(_string_or_chat(record, name) for name in ("prompt", "completion"))


def _instruction(record: Record) -> str:
    # The input is often missing, null or empty.
    middle = [string_field(record, "input")] if record.get("input") not in (None, "") else []
    return "\n".join([string_field(record, "instruction"), *middle, string_field(record, "output")])


def _question_answer(record: Record) -> str:
    return string_field(record, "question") + "\n" + string_field(record, "answer")


def _text(record: Record) -> str:
    return string_field(record, "text")


DETECTED = (
    TextRule("messages", ("messages",), _messages),
    TextRule("conversations", ("conversations",), _conversations),
    TextRule("prompt + completion", ("prompt", "completion"), _prompt_completion),
    TextRule("instruction + input + output", ("instruction", "input", "output"), _instruction),
    TextRule("question + answer", ("question", "answer"), _question_answer),
    TextRule("text", ("text",), _text),
)
"""The layouts that fine-tuning corpora have, in the order in which they are tried."""


def encodable(text: str) -> str:
    """Text that can be written as UTF-8: half a surrogate pair is valid JSON, but no encoder or tokenizer reads it."""
    if text.isascii():
        return text
    try:
        text.encode()  # many times as fast as a search
    except UnicodeEncodeError:
        return _SURROGATES.sub("\ufffd", text)
    return text


def present(record: Record, name: str) -> Any:
    """A field's value; raises BadText where it is missing or null."""
    value = record.get(name)
    if value is None:
        raise BadText(f"{name!r} is {'null' if name in record else 'missing'}")
    return value


def string_field(record: Record, name: str) -> str:
    """A field's text; raises BadText where it is something else."""
    value = present(record, name)
    if not isinstance(value, str):
        raise BadText(f"{name!r} is no string but a {type(value).__name__}")
    return value


def _string_or_chat(record: Record, name: str) -> str:
    value = present(record, name)
    return _chat(value, name, "content") if isinstance(value, list) else string_field(record, name)


def _chat(turns: Any, name: str, key: str) -> str:
    return "\n".join(content for _, content in turns_of(turns, name, key))


def turns_of(turns: Any, name: str, key: str) -> list[tuple[dict[str, Any], str]]:
    """The turns of a chat with their contents. A turn without content, as of a tool call, counts as empty.

    Raises BadText, which calls the chat `name`, where it is none.
    """
    if not isinstance(turns, list):
        raise BadText(f"{name!r} is no list of messages but a {type(turns).__name__}")
    if turns and not any(isinstance(turn, dict) and key in turn for turn in turns):
        raise BadText(f"{name!r} holds no message with {key!r}")
    found = []
    for turn in turns:
        if not isinstance(turn, dict):
            raise BadText(f"{name!r} holds a {type(turn).__name__} where a message should be")
        content = turn.get(key)
        if isinstance(content, list):
            texts = [
                part if isinstance(part, str) else part.get("text") for part in content if isinstance(part, str | dict)
            ]
            content = "\n".join(text for text in texts if isinstance(text, str))
        if content is not None and not isinstance(content, str):
            raise BadText(f"{name!r} holds a message whose {key!r} is a {type(content).__name__}")
        found.append((turn, content or ""))
    return found


def _resolve(record: Record, path: str) -> Any:
    value: Any = record
    rest = path
    while rest:
        if isinstance(value, Mapping):
            # A key that holds dots itself wins over a path.
            key = rest if rest in value else rest.partition(".")[0]
            found = value.get(key)
        else:
            key = rest.partition(".")[0]
            inside = isinstance(value, list) and key.isdecimal() and int(key) < len(value)
            found = value[int(key)] if inside else None
        if found is None:
            raise BadText(f"{path!r} is missing or null")
        value, rest = found, rest[len(key) + 1 :]
    return value


def _printed(value: Any, path: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(turn, dict) and "content" in turn for turn in value):
        return _chat(value, path, "content")
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except TypeError:
        return str(value)
    except RecursionError as error:
        raise BadText(f"{path!r} is nested too deeply") from error


def _fields(paths: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """The top-level fields that paths begin with."""
    return tuple(dict.fromkeys(path if path in names else path.partition(".")[0] for path in paths))


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(printable(name)[:80] for name in names[:20])
    return shown + (f" and {len(names) - 20} more" if len(names) > 20 else "")
