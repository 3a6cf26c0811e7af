"""Training: a classifier on subsets of CLINC150 and of its imbalanced form, and its accuracy on the test records.

MiniLM embeddings, logistic regression, 150 intents, mean of SEEDS seeds; the embeddings of the training records are
clustered, too. The losses of the centres are by a classifier that learned from a uniform sample of 20% of the budget,
as in the paper. "±" is one standard error of the paired difference to uniform.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.benchmarks.common import Table, data
from tests.benchmarks.corpora import cluster_vectors, designed, embed_minilm, read
from tithe.selection.options.options import Options
from tithe.selection.sampling.weights import tempered

SEEDS = 5
SIZES = (300, 450, 1000, 2500)

UNIFORM = "uniform"
METHODS: dict[str, tuple[dict[str, Any], float]] = {
    # Options of `tithe select`, and the exponent of the weights in training (0: none).
    UNIFORM: ({"method": "uniform", "sampler": "simple"}, 0),
    "uniform over clusters": ({"method": "uniform"}, 0),
    "the same, k = half, centres kept": ({"method": "uniform", "clusters": 0.5, "keep_centers": True}, 0),
    "sensitivity, weighted": ({"loss": "column:loss"}, 1),
    "sensitivity, weights tempered (0.5)": ({"loss": "column:loss"}, 0.5),
    "sensitivity, weights left out": ({"loss": "column:loss"}, 0),
    "Algorithm 1 as printed, weighted": ({"loss": "column:loss", "sampler": "iid"}, 1),
    "Algorithm 1 as printed, weights left out": ({"loss": "column:loss", "sampler": "iid"}, 0),
    "k-center": ({"method": "k-center"}, 0),
}


def run() -> list[Table]:
    """A table for each corpus: a row for each method, a column for each size."""
    return [list(_rows(name, SEEDS, SIZES)) for name in ("clinc150_imbalanced", "clinc150") if data(f"{name}.jsonl")]


def run_quick() -> list[Table]:
    """The imbalanced form at 450 records."""
    return [list(_rows("clinc150_imbalanced", 2, (450,)))] if data("clinc150.jsonl") else []


def _rows(name: str, seeds: int, sizes: tuple[int, ...]) -> Iterator[dict[str, object]]:
    corpus = _Corpus(name)
    found = {
        (method, size): np.array([corpus.accuracy(method, size, seed) for seed in range(seeds)])
        for size in sizes
        for method in METHODS
    }
    for method in METHODS:
        row: dict[str, object] = {"corpus": name, "method": method}
        for size in sizes:
            accuracy, difference = found[method, size], found[method, size] - found[UNIFORM, size]
            error = difference.std(ddof=1) / np.sqrt(seeds)
            row[f"{size:,} records"] = f"{accuracy.mean():.3f}" + (
                "" if method == UNIFORM else f" ({difference.mean():+.3f} ± {error:.3f})"
            )
        yield row
    everything = f"{corpus.score(np.arange(len(corpus.y))):.3f}"
    yield {"corpus": name, "method": "all of the corpus", **{f"{size:,} records": everything for size in sizes}}


class _Corpus:
    """Embeddings and intents of the training and the test records."""

    def __init__(self, name: str) -> None:
        path = data(f"{name}.jsonl")
        assert path is not None
        records = read(path)
        vectors = embed_minilm([record["text"] for record in records])
        labels = np.unique([record["intent"] for record in records], return_inverse=True)[1]
        part = np.array([record["split"] for record in records])
        self.x, self.y = vectors[part == "train"], labels[part == "train"]
        self._test = vectors[part == "test"], labels[part == "test"]
        self._clustered_corpora: dict[tuple[int, int, int], Any] = {}

    def accuracy(self, name: str, size: int, seed: int) -> float:
        """Choose, train, test."""
        chosen, exponent = dict(METHODS[name][0]), METHODS[name][1]
        if "clusters" in chosen:
            chosen["clusters"] = round(chosen["clusters"] * size)
        options = Options(inputs=(), output=None, size=size, seed=seed, cluster_seed=seed, **chosen)
        n = len(self.y)
        key = (options.plan(n).clusters, size, seed)
        if key not in self._clustered_corpora:
            self._clustered_corpora[key] = cluster_vectors(self.x, *key)

        def losses(positions: np.ndarray) -> np.ndarray:
            pilot = np.random.default_rng([size, seed]).choice(n, size // 5, replace=False)
            return self._losses(self._fitted(pilot), positions)

        _, design = designed(options, self._clustered_corpora[key], losses)
        sample = design.draw(np.random.default_rng([size, seed, 1]))
        return self.score(sample.positions, tempered(sample.weights, exponent))

    def score(self, rows: np.ndarray, weights: np.ndarray | None = None) -> float:
        """Accuracy after training on `rows`."""
        return float((self._fitted(rows, weights).predict(self._test[0]) == self._test[1]).mean())

    def _fitted(self, rows: np.ndarray, weights: np.ndarray | None = None) -> Any:
        from sklearn.linear_model import LogisticRegression

        share = None if weights is None else weights / weights.mean()
        return LogisticRegression(C=10, tol=1e-3).fit(self.x[rows], self.y[rows], sample_weight=share)

    def _losses(self, model: Any, rows: np.ndarray) -> np.ndarray:
        """Cross-entropy, that of an intent it has not seen being the largest."""
        likelihoods = np.full((len(rows), self.y.max() + 1), 1e-4)
        likelihoods[:, model.classes_] = np.maximum(model.predict_proba(self.x[rows]), 1e-4)
        return -np.log(likelihoods[np.arange(len(rows)), self.y[rows]])
