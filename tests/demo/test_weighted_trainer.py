"""The manual's Trainer heeds the weights, and training with them serves the whole corpus better than without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, TrainingArguments

from tests.conftest import Tithe

pytest.importorskip("accelerate", reason="the Trainer of transformers needs accelerate, which is not installed")

QUESTIONS, ANSWERS = 6, 4
RARE = 0.05


def make_corpus() -> list[dict[str, Any]]:
    """Records of one question and one answer. One in twenty has another answer, a high loss, another embedding."""
    rng = np.random.default_rng(0)
    records = []
    for _ in range(4000):
        question, rare = int(rng.integers(QUESTIONS)), bool(rng.random() < RARE)
        answer = QUESTIONS + (question + (2 if rare else 0)) % ANSWERS
        vector = rng.normal(0, 0.1, 4) + ([3, 0, 0, 0] if rare else [0, 3, 0, 0])
        ids = [question, answer]
        records.append({"input_ids": ids, "labels": [-100, answer], "v": vector, "loss": 20.0 if rare else 1.0})
    return records


def train(records: list[dict[str, Any]], folder: Path, **settings: Any) -> LlamaForCausalLM:
    from tests.demo.weighted_trainer import WeightedTrainer

    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "vocab_size": QUESTIONS + ANSWERS, "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1,
        "num_attention_heads": 2, "max_position_embeddings": 4, "pad_token_id": None, "bos_token_id": None,
        "eos_token_id": None,
    }  # fmt: skip
    model = LlamaForCausalLM(LlamaConfig(**sizes))
    values: dict[str, Any] = {
        "per_device_train_batch_size": 32, "num_train_epochs": 12, "learning_rate": 5e-3, "seed": 0, **settings,
    }  # fmt: skip
    arguments = TrainingArguments(
        output_dir=str(folder), remove_unused_columns=False, use_cpu=True, report_to="none", save_strategy="no",
        logging_strategy="no", disable_tqdm=True, dataloader_pin_memory=False, **values,
    )  # fmt: skip
    kept = [{name: record[name] for name in ("input_ids", "labels", "weight")} for record in records]
    WeightedTrainer(model, arguments, train_dataset=kept).train()  # type: ignore[arg-type]
    return model.eval()


def mean_loss(model: LlamaForCausalLM, records: list[dict[str, Any]]) -> float:
    ids = torch.tensor([record["input_ids"] for record in records])
    with torch.inference_mode():
        logits = model(input_ids=ids).logits[:, 0]
    return float(torch.nn.functional.cross_entropy(logits, ids[:, 1]))


def test_weights_make_the_loss_of_the_whole_corpus_lower(tithe: Tithe, tmp_path: Path) -> None:
    corpus = make_corpus()
    pq.write_table(pa.Table.from_pylist(corpus), tmp_path / "c.parquet")
    options = ("--encoder", "column:v", "--loss", "column:loss", "--clusters", "8", "--size", "400")
    ran = tithe("select", "c.parquet", "-o", "s.parquet", *options, "--for", "transformers")
    assert ran.code == 0, ran.err
    subset = pq.read_table(tmp_path / "s.parquet").to_pylist()
    weighted = train(subset, tmp_path)
    plain = train([{**record, "weight": 1.0} for record in subset], tmp_path)
    losses = mean_loss(weighted, corpus), mean_loss(plain, corpus)
    best = -(RARE * np.log(RARE) + (1 - RARE) * np.log(1 - RARE))
    assert losses[0] < best + 0.05
    assert losses[0] < losses[1] - 0.05


def test_accumulated_batches_count_as_one_large_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    records = [{**record, "weight": rng.exponential()} for record in make_corpus()[:64]]
    common = {"num_train_epochs": 1, "optim": "sgd", "learning_rate": 0.1, "max_grad_norm": 0}
    once = train(records, tmp_path, **common, per_device_train_batch_size=16)
    twice = train(records, tmp_path, **common, per_device_train_batch_size=8, gradient_accumulation_steps=2)
    for one, other in zip(once.parameters(), twice.parameters(), strict=True):
        torch.testing.assert_close(one, other)
