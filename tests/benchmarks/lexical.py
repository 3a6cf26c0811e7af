"""The lexical encoder: how well its clusters match known labels, and how fast it reads, beside scikit-learn's parts.

NMI of k-means clusters with T0's 283 tasks (k = 300) and CLINC's 150 intents (k = 150), mean of three seeds. The
baseline is HashingVectorizer, TfidfTransformer and TruncatedSVD (256 dimensions), fitted on the whole corpus.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.metrics import normalized_mutual_info_score
from sklearn.preprocessing import normalize

from tests.benchmarks.common import Table, data
from tithe.embedders.lexical import LexicalEncoder
from tithe.selection.clustering.kmeans import train
from tithe.selection.clustering.nearest import search_all
from tithe.selection.embedding.encode import ENCODER_BATCH

SEEDS = (0, 1, 2)


def run() -> list[Table]:
    """One table: a row for each corpus and encoder."""
    t0, clinc = data("t0.parquet"), data("clinc150.jsonl")
    if t0 is None or clinc is None:
        return []
    return [[*_rows("T0", *_t0(t0), 300), *_rows("CLINC150", *_clinc(clinc), 150)]]


def _t0(path: Path) -> tuple[list[str], list[str]]:
    table = pq.read_table(path)
    texts = zip(table["prompt"].to_pylist(), table["completion"].to_pylist(), strict=True)
    return [f"{prompt}\n{completion}" for prompt, completion in texts], table["task"].to_pylist()


def _clinc(path: Path) -> tuple[list[str], list[str]]:
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [record["text"] for record in records], [record["intent"] for record in records]


def _rows(corpus: str, texts: list[str], labels: list[str], k: int) -> Table:
    size = sum(len(text.encode()) for text in texts) / 1e6
    rows: Table = []
    for name, embed in (("lexical", embed_lexical), ("scikit-learn", _scikit_learn)):
        found, fitting, encoding = [], 0.0, 0.0
        for seed in SEEDS:
            vectors, fitting, encoding = embed(texts, seed)
            centroids = train(np.random.default_rng(seed).permutation(vectors), k, seed=seed)
            found.append(normalized_mutual_info_score(labels, search_all(vectors, centroids)[0]))
        rows.append(
            {
                "corpus": corpus,
                "encoder": name,
                "NMI": float(np.mean(found)),
                "spread": float(np.std(found)),
                "MB": size,
                "fit s": fitting,
                "encode s": encoding,
                "encode MB/s": size / encoding,
                "fit and encode MB/s": size / (fitting + encoding),
            }
        )
    return rows


def embed_lexical(texts: list[str], seed: int) -> tuple[np.ndarray, float, float]:
    """Unit vectors by `lexical`, and the seconds of fitting and of encoding."""
    start = time.perf_counter()
    encoder = LexicalEncoder()
    sample = np.random.default_rng(seed).permutation(len(texts))[: encoder.fit_records]
    encoder.fit([texts[i] for i in sample], seed=seed)
    fitted = time.perf_counter()
    parts = [encoder.encode(texts[at : at + ENCODER_BATCH]) for at in range(0, len(texts), ENCODER_BATCH)]
    return np.asarray(normalize(np.concatenate(parts))), fitted - start, time.perf_counter() - fitted


def _scikit_learn(texts: list[str], seed: int) -> tuple[np.ndarray, float, float]:
    start = time.perf_counter()
    counts = HashingVectorizer(n_features=2**17, norm=None, alternate_sign=False).transform(texts)  # type: ignore[arg-type]
    weighted = TfidfTransformer(sublinear_tf=True).fit_transform(counts)
    vectors = TruncatedSVD(256, random_state=seed, n_iter=3).fit_transform(weighted)
    return np.asarray(normalize(vectors), np.float32), 0.0, time.perf_counter() - start
