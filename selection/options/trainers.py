"""`--for`: what each trainer does with weights of examples, and the shape in which it respects them.

Where that was seen, in the releases named below (paths within the released package, or the address):

- trl: `trl/trainer/sft_trainer.py`: `_signature_columns` are input_ids, labels and seq_lengths, the Trainer removes
  the others; `trl/trainer/sft_config.py`: `loss_type` is nll or dft. A weighted loss was proposed and closed
  (github.com/huggingface/trl/pull/5952).
- transformers: `transformers/trainer.py`, `_remove_unused_columns`: drops what the model's `forward` does not name,
  unless `remove_unused_columns=False`; `compute_loss` knows no weights.
- ms-swift: `swift/loss_scale/base.py` takes `loss_scale` of an assistant message; but `swift/template/base.py` throws
  the numbers away, so that only 0 or not 0 counts, unless `--is_binary_loss_scale false`;
  `swift/trainers/seq2seq_trainer.py` divides by the number of trained tokens, not by their weight, so that they last.
  The end of the turn keeps the scale 1. A root-level `weight` is not among the columns kept.
- llama-factory: `llamafactory/data/converter.py` keeps role and content of a message only; with USE_V1,
  `llamafactory/v1/plugins/data_plugins/converter.py` sets every `loss_weight` to 1 or 0, and
  `llamafactory/v1/trainers/sft_trainer.py` divides by the sum of the weights in a micro-batch, which cancels them.
- axolotl: `axolotl/prompt_strategies/chat_template.py`: a part's `weight` is 0 or not 0, a turn is trained or not;
  `axolotl/core/trainers/base.py` removes unused columns; `dataset_exact_deduplication` would remove copies.
- fireworks: docs.fireworks.ai/fine-tuning/weighted-training: `weight` at the root, in all samples or none; the page
  speaks of "RFT training" in its head and of the loss of each sample below.
- openai: the published API description, 2.3.0, FineTuneChatCompletionRequestAssistantMessage: `weight` of a message,
  0 or 1.
- sklearn: `fit(X, y, sample_weight=...)`; tests/cli/test_shapes.py feeds it from the file.
"""

from __future__ import annotations

from dataclasses import dataclass

# Without weights; the first is the best.
_UNWEIGHTED: tuple[str, ...] = ("replicate", "resample", "none")


@dataclass(frozen=True)
class Trainer:
    """A trainer, and how weights reach it."""

    name: str
    checked: str
    """The release in which this was seen, or how else it is known."""
    shapes: tuple[str, ...]
    """Names of WEIGHT_SHAPES: those that it does not drop or cancel, the preferred first."""
    note: str
    """What the user must know or do."""
    scale: str = "mean"
    """Of weights in a column."""
    reads: str | None = None
    """The only suffix it reads."""
    weight_column: str | None = None
    """The only name that it knows."""

    @property
    def weights_as(self) -> str:
        return self.shapes[0]

    def notice(self, shape: str) -> str:
        """A line for the user, who gets weights in this shape."""
        fits = shape == self.weights_as or self.weights_as in _UNWEIGHTED
        return f"for {self.name} ({self.checked}): {self.note if fits else 'the file has no weights, as you asked'}"


_TRAINERS = (
    Trainer(
        "trl",
        "seen in 1.16.0",
        _UNWEIGHTED,
        "SFTTrainer silently drops columns it does not know, weights among them: the file has none",
    ),
    Trainer(
        "transformers",
        "seen in 5.23.0",
        ("column", *_UNWEIGHTED),
        "Trainer silently drops the column, unless remove_unused_columns=False and compute_loss multiplies by it "
        "(cli/README.md shows how)",
    ),
    Trainer(
        "ms-swift",
        "seen in 4.6.0",
        ("loss-scale", *_UNWEIGHTED),
        "say --is_binary_loss_scale false, or it takes every weight for 1; the end of a turn keeps the weight 1",
    ),
    Trainer(
        "llama-factory",
        "seen in 0.9.5",
        _UNWEIGHTED,
        "it drops weights, and v1 divides by those of the micro-batch, which cancels them: the file has none",
    ),
    Trainer(
        "axolotl",
        "seen in 0.19.0",
        _UNWEIGHTED,
        "it takes a weight for 0 or not 0, and drops other columns: the file has none; "
        "leave dataset_exact_deduplication off, it would remove the copies",
    ),
    Trainer(
        "fireworks",
        "by its documentation, not tried",
        ("column", *_UNWEIGHTED),
        "it multiplies the loss of an example by 'weight', which every line has",
        reads=".jsonl",
        weight_column="weight",
    ),
    Trainer(
        "openai",
        "by its API description 2.3.0, not tried",
        _UNWEIGHTED,
        "the weight of a message is 0 or 1 there: the file has none",
        reads=".jsonl",
    ),
    Trainer(
        "sklearn",
        "tried with 1.9.1",
        ("column", *_UNWEIGHTED),
        "give the column to fit() as sample_weight; together they are the number of records, so that C and other "
        "penalties mean what they mean on all of them",
        scale="sum",
    ),
)

TRAINERS = {trainer.name: trainer for trainer in _TRAINERS}
