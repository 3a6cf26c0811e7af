"""Budgets of tokens on T0 and GSM8K, losses of a real model: `--tokens` beside `--size` of as many records.

Tokens are the fourth part of the texts' characters, k is the default. The error is that of the estimated mean loss,
over draws: relative to that of a uniform sample of as many records, and to that of `--size`, with its standard error.
Beside the design of `--tokens` stands one that spends the same tokens on records drawn in proportion to
score / √tokens, which are more and shorter ones. How far a sample's total is from the budget at most is given in percent
and in mean records; and the mean of the estimated variance relative to the true one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from tests.benchmarks.common import Table, data
from tests.benchmarks.corpora import cluster_vectors, designed, embed_lexical, read, t0_texts
from tithe.selection.options.options import Options
from tithe.selection.options.plan import make_plan
from tithe.selection.population.candidates import Candidates
from tithe.selection.sampling.design import Design
from tithe.selection.sampling.tokens import make_token_design

SIZES = (50, 100, 400)


def run(draws: int = 400) -> list[Table]:
    """A table for each corpus: a row for each number of records and way to draw."""
    return [_rows(name, texts, losses, draws) for name, texts, losses in _corpora()]


def run_quick() -> list[Table]:
    """The same from fewer draws."""
    return run(60)


def _corpora() -> Iterator[tuple[str, list[str], np.ndarray]]:
    t0, gsm8k = data("t0.parquet"), data("gsm8k.jsonl")
    if t0 is None or gsm8k is None:
        return
    yield "T0", t0_texts(t0), _losses(t0.parent / "t0_smollm2_loss.parquet")
    answers = [f"{record['question']}\n{record['answer']}" for record in read(gsm8k)]
    yield "GSM8K", answers, _losses(gsm8k.parent / "gsm8k_smollm2_loss.parquet")


def _losses(path: Path) -> np.ndarray:
    return pq.read_table(path)["loss"].to_numpy().astype(np.float64)


def _rows(name: str, texts: list[str], losses: np.ndarray, draws: int) -> Table:
    n, everyone = len(texts), Candidates.everyone(len(texts))
    tokens = np.array([-(-len(text) // 4) for text in texts], np.uint32)
    vectors, rows = embed_lexical(texts, 0)[0], []
    options = Options(inputs=(), output=None, loss="column:loss")
    for size in SIZES:
        plan = make_plan(n, size=size)
        clustered = replace(cluster_vectors(vectors, plan.clusters, size), plan=plan)
        scoring, by_count = designed(options, clustered, lambda at: losses[at])
        scores = scoring.scores.values[0:n]
        budget = round(float(by_count.inclusion(np.arange(n)) @ tokens))
        by_root = scores / np.sqrt(np.maximum(tokens, 1))
        ways = {
            "--size": by_count,
            "--tokens": make_token_design(scores, tokens, budget, clustered.order, everyone),
            "score / √tokens": make_token_design(by_root, tokens, budget, clustered.order, everyone),
        }
        found = {way: _measured(design, losses, tokens, budget, draws) for way, design in ways.items()}
        for way, (records, error, stray, bias) in found.items():
            uniform = losses.std(ddof=1) / losses.mean() * math.sqrt((1 - records / n) / records)
            ratio = error / found["--size"][1]
            rows.append(
                {
                    "corpus": name,
                    "tokens": budget,
                    "way": way,
                    "records": records,
                    "error / uniform": error / uniform,
                    "error / --size": "" if way == "--size" else f"{ratio:.2f} ± {ratio / math.sqrt(draws):.2f}",
                    "farthest total %": 100 * stray,
                    "in records": stray * records,
                    "variance, estimated / true": bias,
                }
            )
    return rows


def _measured(
    design: Design, losses: np.ndarray, tokens: np.ndarray, budget: int, draws: int
) -> tuple[int, float, float, float]:
    """Records, relative error, farthest total and bias of the estimated variance."""
    samples = [design.draw(np.random.default_rng([5, seed])) for seed in range(draws)]
    estimates = np.array([sample.weights @ losses[sample.positions] for sample in samples])
    totals = np.array([tokens[sample.positions].sum() for sample in samples])
    variances = [float((design.deviations(sample, losses[sample.positions]) ** 2).sum()) for sample in samples]
    squares = float(np.mean((estimates - losses.sum()) ** 2))
    farthest = float(np.abs(totals / budget - 1).max())
    return design.size, math.sqrt(squares) / float(losses.sum()), farthest, float(np.mean(variances)) / squares
