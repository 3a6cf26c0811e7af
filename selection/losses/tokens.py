"""From a dialogue to token ids, and which of them are scored."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tithe.selection.corpus.dialogue import Chat, Dialogue, Message, Pair
from tithe.selection.corpus.text import BadText

Ids = npt.NDArray[np.int64]

# What transformers looks for before it trusts a template's own marks.
_GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")

_CHANGING = (
    "the chat template writes turn {turn} differently once others follow, so that what the assistant said cannot be "
    "found; mark it in the template with {{% generation %}}"
)


@dataclass(frozen=True)
class Example:
    """A record for a model: `source` for the encoder (empty without one), `tokens` for the decoder.

    `scored`, of the length of `tokens`, says which of them have a loss.
    """

    source: Ids
    tokens: Ids
    scored: npt.NDArray[np.bool_]


class DialogueTokenizer:
    """Turns dialogues into token ids as trainers do; `tokenizer` is one of the library transformers.

    Causal models: a pair is tokenized as TRL's SFTTrainer does it: prompt + completion as one text, with the special
    tokens that the tokenizer adds and with EOS at the end; as many tokens as the prompt has alone are masked. A chat
    goes through the chat template. What the assistant says is scored, with what the template writes to end the turn:
    as the template marks it ({% generation %}), else by what each turn adds. A turn of the assistant with nothing
    before it is not scored, unless the template marks it. Without a template, the contents of the turns are joined by
    line ends, the assistant's are scored, and EOS after the last.

    Encoder-decoder models: the prompt goes to the encoder, the completion (the assistant's last turn, of a chat) to
    the decoder, with EOS at its end.
    """

    def __init__(self, tokenizer: Any, *, encoder_decoder: bool) -> None:
        self._tokenizer = tokenizer
        self._encoder_decoder = encoder_decoder
        self._template: str | None = tokenizer.get_chat_template() if tokenizer.chat_template else None

    def example(self, dialogue: Dialogue) -> Example:
        """Raises BadText where nothing can be scored."""
        if self._encoder_decoder:
            return self._two_sided(dialogue)
        ids, scored = self._pair(dialogue) if isinstance(dialogue, Pair) else self._chat(dialogue)
        scored[:1] = False  # nothing stands before the first token to predict it from
        if not scored.any():
            raise BadText("holds no completion that could be scored: no token of the assistant, or of the completion")
        return Example(np.zeros(0, np.int64), ids, scored)

    def shortened(self, example: Example, limit: int) -> Example:
        """An example of at most `limit` (2 or more) tokens on each side; itself where it fits.

        The prompt loses its beginning, but for BOS; if that does not do, the completion loses its end.
        """
        source, tokens, scored = example.source[-limit:], example.tokens, example.scored
        if len(source) == len(example.source) and len(tokens) <= limit:
            return example
        first = int(np.argmax(scored))
        # One token before the first scored one stays: it is predicted from it.
        drop = max(0, min(len(tokens) - limit, first - 1))
        start = 1 if drop and tokens[0] == self._tokenizer.bos_token_id else 0
        kept = np.delete(np.arange(len(tokens)), slice(start, start + drop))[:limit]
        return Example(source, tokens[kept], scored[kept])

    def _two_sided(self, dialogue: Dialogue) -> Example:
        if isinstance(dialogue, Pair):
            prompt, completion = dialogue.prompt, dialogue.completion
            if not prompt:
                raise BadText("holds no prompt, which an encoder-decoder model needs")
            source = self._tokenizer(prompt, verbose=False)["input_ids"]
        else:
            turns = _answers(dialogue)
            if not turns:
                raise BadText("holds no turn of the assistant after another")
            before, completion = dialogue.messages[: turns[-1]], dialogue.messages[turns[-1]]["content"]
            if not completion:
                raise BadText("the assistant's last turn is empty")
            if self._template is None:
                source = self._tokenizer(_joined(before), verbose=False)["input_ids"]
            else:
                rendered = self._render(before, ask=True)
                source = self._tokenizer(rendered, add_special_tokens=False, verbose=False)["input_ids"]
        labels = self._ended(self._tokenizer(text_target=completion, verbose=False)["input_ids"])
        return Example(np.array(source, np.int64), labels, np.ones(len(labels), np.bool_))

    def _pair(self, pair: Pair) -> tuple[Ids, npt.NDArray[np.bool_]]:
        ids = self._ended(self._tokenizer(pair.prompt + pair.completion, verbose=False)["input_ids"])
        prompt = self._tokenizer(pair.prompt, verbose=False)["input_ids"] if pair.prompt else []
        ends = prompt and prompt[-1] == self._tokenizer.eos_token_id
        if ends and not pair.prompt.endswith(self._tokenizer.eos_token):
            prompt = prompt[:-1]  # some tokenizers end every text with it
        return ids, np.arange(len(ids)) >= len(prompt)

    def _chat(self, chat: Chat) -> tuple[Ids, npt.NDArray[np.bool_]]:
        if self._template is None:
            text = _joined(chat.messages)
            answers = _answers(chat)
            spans = []
            for turn in answers:
                start = len(_joined(chat.messages[:turn])) + 1
                spans.append((start, start + len(chat.messages[turn]["content"])))
            ids, scored = self._located(text, spans, special=True)
            if answers and answers[-1] == len(chat.messages) - 1:
                ended = self._ended(ids)
                scored = np.append(scored[: len(ended) - 1], True)
                ids = ended
            return ids, scored
        if _GENERATION.search(self._template):
            return self._marked(chat)
        text = self._render(chat.messages)
        spans = [self._span(text, chat.messages, turn) for turn in _answers(chat)]
        return self._located(text, spans, special=False)

    def _marked(self, chat: Chat) -> tuple[Ids, npt.NDArray[np.bool_]]:
        rendered = self._applied(chat.messages, tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
        scored = np.array(rendered["assistant_masks"], np.bool_)
        if chat.context:
            prompt = self._render(chat.messages[: chat.context], ask=True)
            scored[: len(self._tokenizer(prompt, add_special_tokens=False, verbose=False)["input_ids"])] = False
        return np.array(rendered["input_ids"], np.int64), scored

    def _span(self, text: str, messages: Sequence[Message], turn: int) -> tuple[int, int]:
        """Where in the rendered chat the assistant's words of a turn stand, to the end of the turn."""
        before, through = self._render(messages[:turn], ask=True), self._render(messages[: turn + 1])
        content = messages[turn]["content"]
        if text.startswith(before):
            if text.startswith(through) and len(through) > len(before):
                return len(before), len(through)
            # Templates that show the thoughts of the last turn only: this one is there without them.
            words = content + through.rpartition(content)[2]
            if content and text.startswith(words, len(before)):
                return len(before), len(before) + len(words)
        raise BadText(_CHANGING.format(turn=turn + 1))

    def _located(self, text: str, spans: list[tuple[int, int]], *, special: bool) -> tuple[Ids, npt.NDArray[np.bool_]]:
        """Token ids of a text, and which overlap one of the spans of characters."""
        if not self._tokenizer.is_fast:
            raise BadText("is a chat, but the tokenizer does not say where in the text its tokens stand")
        encoded = self._tokenizer(text, add_special_tokens=special, return_offsets_mapping=True, verbose=False)
        starts, ends = np.array(encoded["offset_mapping"], np.int64).reshape(-1, 2).T
        scored = np.zeros(len(starts), np.bool_)
        for start, end in spans:
            scored |= (ends > start) & (starts < end) & (ends > starts)
        return np.array(encoded["input_ids"], np.int64), scored

    def _ended(self, ids: Sequence[int] | Ids) -> Ids:
        """With EOS as the last token, where the tokenizer knows one."""
        eos = self._tokenizer.eos_token_id
        missing = eos is not None and (len(ids) == 0 or ids[-1] != eos)
        return np.array([*ids, eos] if missing else ids, np.int64)

    def _render(self, messages: Sequence[Message], *, ask: bool = False) -> str:
        return self._applied(messages, tokenize=False, add_generation_prompt=ask)

    def _applied(self, messages: Sequence[Message], **options: Any) -> Any:
        try:
            return self._tokenizer.apply_chat_template(list(messages), chat_template=self._template, **options)
        except Exception as error:  # a template is a program, which raises what it likes
            raise BadText(f"the chat template refuses it ({' '.join(str(error).split())})") from error


def _answers(chat: Chat) -> list[int]:
    """The turns to be learnt: of the assistant, behind the context, and not the very first."""
    return [
        turn
        for turn, message in enumerate(chat.messages)
        if message["role"] == "assistant" and turn >= max(1, chat.context)
    ]


def _joined(messages: Sequence[Message]) -> str:
    return "\n".join(message["content"] for message in messages)
