"""Losses of real models, made here: equal to transformers' own for each record alone, prompts masked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from tests.conftest import WORDS, Ran, Tithe, write_jsonl
from tithe.selection.corpus.corpus import open_corpus
from tithe.selection.errors import TitheError, UsageError
from tithe.selection.losses import make_loss_source
from tithe.selection.losses.base import LossRequest

MAX_TOKENS = 48
TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}> {{ message['content'] }} </s> {% endfor %}"
    "{% if add_generation_prompt %}<assistant> {% endif %}"
)


def save_tokenizer(folder: Path, template: str | None) -> None:
    special = ["<pad>", "</s>", "<unk>", "<user>", "<assistant>", "<system>"]
    vocabulary = {word: i for i, word in enumerate([*special, *WORDS, "the", "and", "of"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=MAX_TOKENS
    )
    fast.chat_template = template
    fast.save_pretrained(folder)


@pytest.fixture(scope="module")
def causal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("causal")
    torch.manual_seed(0)
    settings: dict[str, Any] = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 64,
        "max_position_embeddings": MAX_TOKENS, "pad_token_id": 0, "eos_token_id": 1, "initializer_range": 0.5,
    }  # fmt: skip
    config = LlamaConfig(**settings)
    LlamaForCausalLM(config).save_pretrained(folder)
    save_tokenizer(folder, TEMPLATE)
    return folder


@pytest.fixture(scope="module")
def seq2seq(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seq2seq")
    torch.manual_seed(0)
    settings: dict[str, Any] = {
        "vocab_size": 64, "d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2,
        "decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1,
    }  # fmt: skip
    config = T5Config(**settings)
    T5ForConditionalGeneration(config).save_pretrained(folder)
    save_tokenizer(folder, None)
    return folder


def words(rng: np.random.Generator, low: int, high: int) -> str:
    return " ".join(rng.choice(WORDS, rng.integers(low, high)))


def pairs(count: int = 40, longest: int = 20) -> list[dict]:
    rng = np.random.default_rng(0)
    return [{"prompt": words(rng, 1, longest), "completion": " " + words(rng, 1, longest)} for _ in range(count)]


def losses(folder: Path, records: list[dict], tmp_path: Path) -> tuple[np.ndarray, dict]:
    corpus = open_corpus([str(write_jsonl(tmp_path / "c.jsonl", records))], spool=tmp_path)
    corpus.row_count()
    source = make_loss_source(f"model:{folder}", LossRequest(device="cpu"))
    found = source.losses(corpus, np.arange(len(records)))
    assert source.asked == len(records)
    return found, source.describe()


def own_causal_loss(model: Any, prompt: list[int], completion: list[int]) -> float:
    tokens = torch.tensor([prompt + completion])
    labels = torch.tensor([[-100] * len(prompt) + completion])
    with torch.no_grad():
        return float(model(input_ids=tokens, labels=labels).loss)


def test_a_causal_model_gives_transformers_own_loss_of_the_completion(causal: Path, tmp_path: Path) -> None:
    records = pairs()
    found, facts = losses(causal, records, tmp_path)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(causal).eval(), AutoTokenizer.from_pretrained(causal)
    expected = []
    for record in records:
        prompt, completion = (
            tokenizer(record[name], add_special_tokens=False)["input_ids"] for name in ("prompt", "completion")
        )
        expected.append(own_causal_loss(model, prompt, [*completion, tokenizer.eos_token_id]))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.std(found) > 0.1
    assert facts["source"] == "model"


def test_only_the_assistants_turns_of_a_chat_count(causal: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    roles = ("system", "user", "assistant", "user", "assistant")
    records = [{"messages": [{"role": role, "content": words(rng, 1, 6)} for role in roles]} for _ in range(12)]
    found, _ = losses(causal, records, tmp_path)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(causal).eval(), AutoTokenizer.from_pretrained(causal)
    for record, loss in zip(records, found, strict=True):
        tokens, labels = [], []
        for message in record["messages"]:
            content = tokenizer(message["content"], add_special_tokens=False)["input_ids"]
            head = [tokenizer.convert_tokens_to_ids(f"<{message['role']}>")]
            counts = message["role"] == "assistant"
            tokens += [*head, *content, 1]
            labels += [-100, *(content if counts else [-100] * len(content)), 1 if counts else -100]
        with torch.no_grad():
            expected = float(model(input_ids=torch.tensor([tokens]), labels=torch.tensor([labels])).loss)
        assert loss == pytest.approx(expected, abs=1e-4)


def test_an_encoder_decoder_gives_transformers_own_loss(seq2seq: Path, tmp_path: Path) -> None:
    records = pairs()
    found, _ = losses(seq2seq, records, tmp_path)
    model, tokenizer = AutoModelForSeq2SeqLM.from_pretrained(seq2seq).eval(), AutoTokenizer.from_pretrained(seq2seq)
    for record, loss in zip(records, found, strict=True):
        prompt, completion = (
            tokenizer(record[name], add_special_tokens=False)["input_ids"] for name in ("prompt", "completion")
        )
        with torch.no_grad():
            expected = float(model(input_ids=torch.tensor([prompt]), labels=torch.tensor([[*completion, 1]])).loss)
        assert loss == pytest.approx(expected, abs=1e-4)


def test_long_prompts_are_cut_from_the_left_and_counted(causal: Path, tmp_path: Path) -> None:
    short, long = pairs(5), pairs(5, longest=20)
    for record in long:
        record["prompt"] = " ".join([WORDS[0]] * 100) + " " + record["prompt"]
    _, facts = losses(causal, short + long, tmp_path)
    assert facts["records_cut"] == 5
    # What lies beyond the model's length, on the left, makes no difference.
    again = [{**record, "prompt": " ".join([WORDS[1]] * 50) + " " + record["prompt"]} for record in long]
    np.testing.assert_allclose(losses(causal, long, tmp_path)[0], losses(causal, again, tmp_path)[0], atol=1e-6)


def test_the_prompt_is_read_but_not_counted(causal: Path, tmp_path: Path) -> None:
    record = {"prompt": "orbit galaxy", "completion": " comet butter"}
    other = {"prompt": "oven garlic", "completion": " comet butter"}
    found, _ = losses(causal, [record, other, record], tmp_path)
    assert found[0] == pytest.approx(found[2], abs=1e-6)
    assert found[0] != pytest.approx(found[1], abs=1e-3)


def select(tithe: Tithe, tmp_path: Path, *arguments: object) -> Ran:
    write_jsonl(tmp_path / "c.jsonl", pairs(200))
    return tithe("select", "c.jsonl", "-o", "s.jsonl", "--clusters", "12", "--size", "40", *arguments)


@pytest.mark.parametrize("kind", ["causal", "seq2seq"])
def test_exactly_the_centres_are_asked_for(
    tithe: Tithe, request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    ran = select(tithe, tmp_path, "--loss", f"model:{request.getfixturevalue(kind)}", "--device", "cpu")
    assert ran.code == 0, ran.err
    manifest = json.loads((tmp_path / "s.jsonl.manifest.json").read_text())
    assert manifest["loss_queries"] == manifest["k"] == 12
    assert manifest["loss"]["source"] == "model"


def test_what_is_no_model_ends_in_one_line(tithe: Tithe, causal: Path, tmp_path: Path) -> None:
    ran = select(tithe, tmp_path, "--loss", "model:./nowhere")
    assert (ran.code, len(ran.err.splitlines()), "nowhere" in ran.err) == (1, 1, True), ran.err
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    for file in causal.iterdir():
        if file.suffix != ".safetensors":
            (pickled / file.name).write_bytes(file.read_bytes())
    (pickled / "pytorch_model.bin").write_bytes(b"no weights")
    ran = select(tithe, tmp_path, "--loss", f"model:{pickled}")
    assert ran.code == 1
    assert ran.err.splitlines()[-1].startswith("tithe: --loss model:")
    assert not (tmp_path / "s.jsonl").exists()


def test_an_empty_completion_names_the_record(seq2seq: Path, causal: Path, tmp_path: Path) -> None:
    records = [{"text": "orbit"}, {"text": ""}]
    with pytest.raises(TitheError, match=r"c\.jsonl, line 2"):
        losses(causal, records, tmp_path)
    with pytest.raises(TitheError, match=r"c\.jsonl, line 1"):
        losses(seq2seq, records, tmp_path)


def test_a_number_format_without_a_model_is_refused(tithe: Tithe, tmp_path: Path) -> None:
    ran = select(tithe, tmp_path, "--loss", "none", "--dtype", "float32")
    assert (ran.code, "--dtype means nothing to it" in ran.err) == (2, True)
    with pytest.raises(UsageError, match="it is written model:NAME_OR_FOLDER"):
        make_loss_source("model", LossRequest())
