"""A small causal transformer that learns the completions of prompts, trained on one CPU core in seconds.

One layer of width 96 over 4,096 BPE tokens: the first 10 and last 30 tokens of the prompt, the first 16 of the
completion. AdamW with a linear schedule. Its loss of a record is the mean over the completion's tokens.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch import nn

VOCABULARY, WIDTH, LAYERS, HEADS = 4096, 96, 1, 3
BEGINNING, ENDING, COMPLETION = 10, 30, 16  # tokens kept of the prompt's two ends, and of the completion
PROMPT = BEGINNING + ENDING + 1
BATCH, RATE = 32, 2e-3
PAD, SEPARATOR, END = 0, 1, 2

Data = tuple[torch.Tensor, torch.Tensor]


def tokenise(prompts: list[str], completions: list[str], known: np.ndarray) -> Data:
    """Prompts (n, PROMPT), padded on the left and ended by <sep>; completions (n, COMPLETION), padded on the right.

    The vocabulary is learned on 8,000 of the `known` records, which are not validated.
    """
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<pad>", "<sep>", "<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    sample = np.random.default_rng(0).choice(known, 8000, replace=False)
    bpe.train_from_iterator((text for i in sample for text in (prompts[i][:2000], completions[i][:1000])), trainer)
    left = np.full((len(prompts), PROMPT), PAD)
    right = np.full((len(prompts), COMPLETION), PAD)
    # Long prompts are cut before they are encoded: only their two ends are read.
    ends = [text if len(text) <= 1200 else text[:400] + text[-800:] for text in prompts]
    for i, (a, b) in enumerate(
        zip(bpe.encode_batch(ends), bpe.encode_batch([text[:400] for text in completions]), strict=True)
    ):
        ids = a.ids if len(a.ids) <= BEGINNING + ENDING else a.ids[:BEGINNING] + a.ids[-ENDING:]
        left[i, PROMPT - 1 - len(ids) :] = [*ids, SEPARATOR]
        answer = (b.ids or [END])[:COMPLETION]
        right[i, : len(answer)] = answer
    return torch.from_numpy(left), torch.from_numpy(right)


class Layer(nn.Module):
    """Causal self-attention and a feed-forward part, for the last places only where that is all that is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.q, self.kv, self.o = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)
        for linear in (self.o, self.down):
            nn.init.normal_(linear.weight, std=0.02)

    def forward(self, x: torch.Tensor, mask: torch.Tensor, last: int) -> torch.Tensor:
        b, t, _ = x.shape
        y = self.before(x)
        q = self.q(y[:, -last:]).view(b, last, HEADS, -1).transpose(1, 2)
        k, v = self.kv(y).view(b, t, 2, HEADS, -1).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, :, -last:])
        x = x[:, -last:] + self.o(attended.transpose(1, 2).reshape(b, last, WIDTH))
        return x + self.down(F.relu(self.up(self.between(x))))


class Model(nn.Module):
    """A decoder-only transformer with tied embeddings."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(PROMPT + COMPLETION, WIDTH)
        nn.init.normal_(self.tokens.weight, std=0.05)
        nn.init.normal_(self.places.weight, std=0.05)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, prompts: torch.Tensor, completions: torch.Tensor) -> torch.Tensor:
        """Mean token loss of each completion, shape (b,)."""
        length = int((completions != PAD).sum(1).max())
        completions = completions[:, :length]
        ids = torch.cat([prompts, completions[:, :-1]], 1)
        t = ids.shape[1]
        x = self.tokens(ids) + self.places.weight[:t]
        causal = torch.ones(t, t, dtype=torch.bool).tril()
        mask = ((causal & (ids != PAD)[:, None]) | torch.eye(t, dtype=torch.bool))[:, None]
        for number, layer in enumerate(self.layers):
            x = layer(x, mask, length if number == LAYERS - 1 else t)
        real = completions != PAD
        losses = F.cross_entropy(self.norm(x)[real] @ self.tokens.weight.T, completions[real], reduction="none")
        return torch.zeros(completions.shape).masked_scatter(real, losses).sum(1) / real.sum(1)


def losses(model: Model, data: Data, rows: np.ndarray) -> np.ndarray:
    """Loss of each of the rows, shape (len(rows),)."""
    with torch.inference_mode():
        parts = [model(data[0][part], data[1][part]) for part in torch.from_numpy(rows).split(100)]
    return torch.cat(parts).numpy()


def train(data: Data, indices: np.ndarray, weights: np.ndarray | None, steps: int, seed: int) -> Model:
    """A model trained on the rows `indices`, in epochs; their losses count in proportion to `weights`."""
    torch.manual_seed(seed)
    model = Model()
    optimiser = torch.optim.AdamW(
        [
            {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": 0.1},
            {"params": [p for p in model.parameters() if p.ndim == 1], "weight_decay": 0.0},
        ],
        lr=RATE,
        betas=(0.9, 0.98),
        fused=True,
    )
    warm = steps // 10
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda i: min((i + 1) / warm, 1) * (1 - 0.9 * i / steps))
    rng = np.random.default_rng(seed)
    share = torch.ones(len(indices)) if weights is None else torch.from_numpy(weights / weights.mean()).float()
    queue = np.empty(0, np.int64)
    for _ in range(steps):
        while len(queue) < BATCH:
            queue = np.concatenate([queue, rng.permutation(len(indices))])
        batch, queue = queue[:BATCH], queue[BATCH:]
        rows = torch.from_numpy(indices[batch])
        loss = (model(data[0][rows], data[1][rows]) * share[batch]).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return model.eval()
