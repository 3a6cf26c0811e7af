"""From a record to what a language model is asked and what it should answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tithe.selection.corpus.text import DETECTED, BadText, Record, TextRule, encodable, present, string_field, turns_of

Message = dict[str, Any]
"""At least `role` and `content`, both strings; more where the record has more, such as `tool_calls`."""


@dataclass(frozen=True)
class Chat:
    """Turns of a conversation; what the assistant says from message `context` on is to be learnt."""

    messages: tuple[Message, ...]
    context: int = 0


@dataclass(frozen=True)
class Pair:
    """A prompt, which may be empty, and the completion to be learnt; nothing stands between the two."""

    prompt: str
    completion: str


Dialogue = Chat | Pair


def dialogue(rule: TextRule, record: Record) -> Dialogue:
    """The record's prompt and completion. Under a rule that the user gave, all of the text is completion.

    Raises BadText where a part is missing or has another form, and where a completion is empty.
    """
    layout = next((make for detected, make in zip(DETECTED, _LAYOUTS, strict=True) if detected == rule), None)
    try:
        found = layout(record) if layout else Pair("", rule.text(record))
    except RecursionError as error:
        raise BadText("the record is nested too deeply") from error
    if isinstance(found, Pair):
        if not found.completion:
            raise BadText("there is no loss of an empty text")
        return Pair(encodable(found.prompt), encodable(found.completion))
    return found


def _messages(record: Record) -> Dialogue:
    return Chat(_turns(present(record, "messages"), "messages"))


def _conversations(record: Record) -> Dialogue:
    messages = []
    for turn, content in turns_of(present(record, "conversations"), "conversations", "value"):
        role = _ROLES.get(str(turn.get("from")))
        if role is None:
            raise BadText(f"'conversations' holds a turn from {turn.get('from')!r}, not one of {', '.join(_ROLES)}")
        messages.append({"role": role, "content": encodable(content)})
    return Chat(tuple(messages))


def _prompt_completion(record: Record) -> Dialogue:
    prompt, completion = present(record, "prompt"), present(record, "completion")
    if not isinstance(prompt, list) and not isinstance(completion, list):
        return Pair(string_field(record, "prompt"), string_field(record, "completion"))
    asked = _side(record, "prompt", "user")
    return Chat((*asked, *_side(record, "completion", "assistant")), context=len(asked))


def _instruction(record: Record) -> Dialogue:
    output = string_field(record, "output")
    names = ["instruction", "input"] if record.get("input") not in (None, "") else ["instruction"]
    return Pair("".join(string_field(record, name) + "\n" for name in names), output)


def _question_answer(record: Record) -> Dialogue:
    return Pair(string_field(record, "question") + "\n", string_field(record, "answer"))


def _text(record: Record) -> Dialogue:
    return Pair("", string_field(record, "text"))


_LAYOUTS: Sequence[Callable[[Record], Dialogue]] = (
    _messages,
    _conversations,
    _prompt_completion,
    _instruction,
    _question_answer,
    _text,
)
"""One for each rule of DETECTED, in its order."""

_ROLES = {
    "human": "user", "user": "user",
    "gpt": "assistant", "assistant": "assistant", "model": "assistant", "function_call": "assistant",
    "system": "system",
    "tool": "tool", "observation": "tool", "function": "tool",
}  # fmt: skip
"""What ShareGPT and those after it call the speakers."""


def _side(record: Record, name: str, role: str) -> tuple[Message, ...]:
    if isinstance(record[name], list):
        return _turns(record[name], name)
    return ({"role": role, "content": encodable(string_field(record, name))},)


def _turns(turns: Any, name: str) -> tuple[Message, ...]:
    found = []
    for turn, content in turns_of(turns, name, "content"):
        if not isinstance(turn.get("role"), str):
            raise BadText(f"{name!r} holds a message without a role")
        found.append({**_given(turn), "content": encodable(content)})
    return tuple(found)


def _given(value: Any) -> Any:
    """Without null: in Parquet, each message has the fields that any message has."""
    if isinstance(value, dict):
        return {key: _given(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_given(inner) for inner in value]
    return encodable(value) if isinstance(value, str) else value
