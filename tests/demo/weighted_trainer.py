"""A Trainer of the library transformers that heeds the weights: `tithe select ... --for transformers`.

Give it TrainingArguments(remove_unused_columns=False), and a collator that keeps `weight` with `input_ids` and `labels`.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from transformers import Trainer


class WeightedTrainer(Trainer):
    """Minimises the mean of weight * loss, the loss of an example being the mean over its tokens."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.model_accepts_loss_kwargs = False  # so that it divides by the number of accumulated batches

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:  # type: ignore[override]
        """See Trainer."""
        weights, labels = inputs.pop("weight"), inputs.pop("labels")[:, 1:]
        outputs = model(**inputs)
        losses = F.cross_entropy(outputs.logits[:, :-1].transpose(1, 2), labels, reduction="none")  # 0 where -100
        loss = (weights * losses.sum(1) / (labels != -100).sum(1).clamp(min=1)).mean()
        return (loss, outputs) if return_outputs else loss
