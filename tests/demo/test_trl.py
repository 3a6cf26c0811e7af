"""What TRL's SFTTrainer makes of `--for trl`: a step runs, and a column of weights would never reach the loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from tests.cli.test_budgets import TOKENIZER
from tests.conftest import Tithe, make_records, write_jsonl

trl = pytest.importorskip("trl", reason="TRL is not installed")


@pytest.mark.filterwarnings("ignore")
def test_sft_trainer_takes_a_step_and_drops_weights(tithe: Tithe, tmp_path: Path) -> None:
    import datasets

    records = [{"prompt": record["text"], "completion": " yes", "loss": record["loss"]} for record in make_records(300)]
    corpus = write_jsonl(tmp_path / "c.jsonl", records)
    arguments = ("select", corpus, "--size", "24", "--loss", "column:loss")
    assert tithe(*arguments, "-o", "trl.parquet", "--for", "trl").code == 0
    assert tithe(*arguments, "-o", "weighted.parquet").code == 0
    assert "weight" not in pq.read_schema(tmp_path / "trl.parquet").names
    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
    tokenizer.eos_token = tokenizer.sep_token
    sizes: dict[str, Any] = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    for name in ("trl.parquet", "weighted.parquet"):
        data = datasets.load_dataset(
            "parquet", data_files=str(tmp_path / name), split="train", cache_dir=str(tmp_path / "hf")
        )
        settings = trl.SFTConfig(
            output_dir=str(tmp_path), max_steps=1, per_device_train_batch_size=8, use_cpu=True, report_to="none",
            bf16=False, save_strategy="no", disable_tqdm=True, max_length=64,
        )  # fmt: skip
        model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **sizes))
        trainer = trl.SFTTrainer(model, settings, train_dataset=data, processing_class=tokenizer)
        assert trainer.train().global_step == 1
        (batch,) = [next(iter(trainer.get_train_dataloader()))]
        assert "weight" not in batch and len(batch["input_ids"]) == 8
