"""Budgets of tokens on T0, true losses: `--tokens` beside as many records as have so many tokens on average.

Both see the losses of 300 centres. The error is that of the estimated mean loss, over draws, relative to the mean; the
tokens are the fourth part of the texts' bytes, and how far a sample's total is from the budget is given for the draws.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq

from tests.benchmarks.common import Table, data
from tests.benchmarks.corpora import designed, embed_lexical, ground, t0_texts
from tithe.selection.designs.base import Design
from tithe.selection.designs.tokens import make_token_design
from tithe.selection.frame.candidates import Candidates
from tithe.selection.groundwork import Groundwork
from tithe.selection.options import Options
from tithe.selection.plan import Plan

K, SHARES = 300, (0.02, 0.1)


def run(draws: int = 300) -> list[Table]:
    """One table: a row for each share of the corpus's tokens and way to draw."""
    corpus, known = data("t0.parquet"), data("t0_loss.parquet")
    if corpus is None or known is None:
        return [[]]
    texts, losses = t0_texts(corpus), pq.read_table(known)["loss"].to_numpy().astype(np.float64)
    tokens = np.array([max(1, len(text.encode()) // 4) for text in texts], np.uint32)
    laid = ground(embed_lexical(texts, 0)[0], K, K)
    n = len(texts)
    rows: Table = []
    options = Options(inputs=(), output=None, loss="column:loss")
    for share in SHARES:
        budget = int(share * tokens.sum())
        judgement, _ = designed(options, laid, lambda at: losses[at])
        scores = judgement.scores.values
        by_tokens = make_token_design(scores, tokens, budget, laid.order, Candidates.everyone(n))
        mean = float((scores @ tokens) / scores.sum())
        by_count = designed(options, ground_of_size(laid, round(budget / mean)), lambda at: losses[at])[1]
        found: dict[str, tuple[float, float, float]] = {
            name: _errors(design, losses, tokens, budget, draws)
            for name, design in (("--size", by_count), ("--tokens", by_tokens))
        }
        for name, (records, error, stray) in found.items():
            rows.append(
                {
                    "budget, tokens": budget,
                    "way": name,
                    "records": records,
                    "error %": 100 * error,
                    "ratio": error / found["--size"][1],
                    "farthest total %": 100 * stray,
                }
            )
    return [rows]


def run_quick() -> list[Table]:
    """The same from fewer draws."""
    return run(60)


def ground_of_size(laid: Groundwork, size: int) -> Groundwork:
    """The same groundwork with another budget."""
    return replace(laid, plan=Plan(len(laid.clusters.labels), K, size, None))


def _errors(
    design: Design, losses: np.ndarray, tokens: np.ndarray, budget: int, draws: int
) -> tuple[float, float, float]:
    samples = [design.draw(np.random.default_rng(seed)) for seed in range(draws)]
    estimates = np.array([sample.weights @ losses[sample.positions] for sample in samples])
    totals = np.array([tokens[sample.positions].sum() for sample in samples])
    error = float(np.sqrt(np.mean((estimates - losses.sum()) ** 2)) / losses.sum())
    records = float(np.mean([len(sample.positions) for sample in samples]))
    return records, error, float(np.abs(totals / budget - 1).max())
