"""Regression: the excess risk of least squares on weighted subsets, and the time that choosing them takes.

Excess risk: mean squared residual over all rows of the subset's fit, less that of the fit to all rows. Medians over
DRAWS draws, relative to those of leverage-score sampling (independent draws in proportion to exact leverage scores,
weights 1/(s p)); the standard error of a ratio is about 8%. Data: three sets that come with scikit-learn, and made ones
with heavy tails. Time is that of arrays in memory, medians of three: clusters, scores and draw of tithe; leverage scores
by thin QR, and by Cholesky's factor of XᵀX, the fastest way we know, and the draw.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np
import scipy.linalg
from sklearn import datasets

from tests.benchmarks.common import Table
from tests.benchmarks.corpora import cluster_vectors, designed
from tithe.selection.options.options import Options

DRAWS = 120
ROWS_PER_UNKNOWN = (3, 4, 8, 16, 32)

Fit = tuple[np.ndarray, np.ndarray]


def run() -> list[Table]:
    """Two tables: a row for each data set and size; and one for each number of rows and features."""
    return [list(_risks()), list(_times())]


def run_quick() -> list[Table]:
    """The first table alone."""
    return [list(_risks())]


def _risks() -> Iterator[dict[str, object]]:
    for name, x, y in _data():
        n, unknowns = len(x), x.shape[1] + 1
        design = np.hstack([np.ones((n, 1)), x])
        for rows in ROWS_PER_UNKNOWN:
            size = rows * unknowns
            if size > n / 2:
                continue
            medians = {
                way: statistics.median(_excess(design, y, *draw) for draw in draws)
                for way, draws in _ways(x, y, size).items()
            }
            leverage = medians["leverage scores"]
            yield {
                "data": name,
                "rows": n,
                "unknowns": unknowns,
                "size": size,
                "tithe": medians["tithe"] / leverage,
                "tithe, independent draws": medians["tithe, independent draws"] / leverage,
                "uniform": medians["uniform"] / leverage,
                "leverage scores": 1.0,
            }


def _ways(x: np.ndarray, y: np.ndarray, size: int) -> dict[str, Iterator[Fit]]:
    n = len(x)
    design = np.hstack([np.ones((n, 1)), x])

    def uniform() -> Iterator[Fit]:
        for seed in range(DRAWS):
            yield np.random.default_rng([0, seed]).choice(n, size, replace=False), np.ones(size)

    def leverage() -> Iterator[Fit]:
        scores = leverage_by_qr(design)
        for seed in range(DRAWS):
            yield _drawn(scores, size, np.random.default_rng([1, seed]))

    def tithe(sampler: str) -> Iterator[Fit]:
        for cluster_seed in range(0, DRAWS, 20):
            draw = _tithe(x, y, size, cluster_seed, sampler)
            yield from map(draw, range(cluster_seed, cluster_seed + 20))

    return {
        "uniform": uniform(),
        "leverage scores": leverage(),
        "tithe": tithe("pivotal"),
        "tithe, independent draws": tithe("iid"),
    }


def _tithe(x: np.ndarray, y: np.ndarray, size: int, cluster_seed: int, sampler: str) -> Callable[[int], Fit]:
    n, d = x.shape
    names = tuple(f"x{i}" for i in range(d))
    options = Options(
        inputs=(),
        output=None,
        size=size,
        task="regression",
        features=names,
        target="y",
        encoder="features",
        sampler=sampler,  # type: ignore[arg-type]
    )
    rows = np.column_stack([x, y]).astype(np.float32)
    clustered = cluster_vectors(rows, options.plan(n).clusters, size, seed=cluster_seed)
    _, design = designed(options, clustered, lambda positions: positions)

    def draw(seed: int) -> Fit:
        sample = design.draw(np.random.default_rng([2, seed]))
        return sample.positions, sample.weights

    return draw


def _excess(design: np.ndarray, y: np.ndarray, rows: np.ndarray, weights: np.ndarray) -> float:
    root = np.sqrt(weights)
    fit = np.linalg.lstsq(design[rows] * root[:, None], y[rows] * root, rcond=None)[0]
    best = np.linalg.lstsq(design, y, rcond=None)[0]
    return float(np.mean((y - design @ fit) ** 2) - np.mean((y - design @ best) ** 2))


def leverage_by_qr(design: np.ndarray) -> np.ndarray:
    """Leverage scores of shape (n,): squared row norms of an orthonormal basis."""
    q = scipy.linalg.qr(design, mode="economic", check_finite=False)[0]
    return np.einsum("ij,ij->i", q, q)


def leverage_by_cholesky(design: np.ndarray) -> np.ndarray:
    """The same from XᵀX: faster, and less exact where columns are nearly dependent."""
    factor = scipy.linalg.cholesky(design.T @ design, check_finite=False)
    whitened = design @ np.linalg.inv(factor)
    return np.einsum("ij,ij->i", whitened, whitened)


def _drawn(scores: np.ndarray, size: int, rng: np.random.Generator) -> Fit:
    p = scores / scores.sum()
    rows = rng.choice(len(p), size, p=p)
    return rows, 1 / (size * p[rows])


def _times() -> Iterator[dict[str, object]]:
    size = 1000
    for n, d in ((100_000, 10), (300_000, 10), (1_000_000, 10), (100_000, 50), (300_000, 50), (1_000_000, 50)):
        x, y = _heavy_tailed(n, d)
        ways: dict[str, Callable[[], object]] = {
            "tithe": lambda x=x, y=y: _tithe(x, y, size, 0, "pivotal")(0),
            "thin QR": lambda x=x: _drawn(leverage_by_qr(_with_one(x)), size, np.random.default_rng(0)),
            "Cholesky": lambda x=x: _drawn(leverage_by_cholesky(_with_one(x)), size, np.random.default_rng(0)),
        }
        seconds = {name: statistics.median(_seconds(way) for _ in range(3)) for name, way in ways.items()}
        yield {
            "rows": n,
            "features": d,
            "tithe, s": seconds["tithe"],
            "leverage by thin QR, times as long": seconds["thin QR"] / seconds["tithe"],
            "leverage by Cholesky, times as long": seconds["Cholesky"] / seconds["tithe"],
        }


def _seconds(way: Callable[[], object]) -> float:
    start = time.perf_counter()
    way()
    return time.perf_counter() - start


def _with_one(x: np.ndarray) -> np.ndarray:
    return np.hstack([np.ones((len(x), 1)), x])


def _data() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    for name, bunch in (("diabetes", datasets.load_diabetes()), ("digits", datasets.load_digits())):
        yield name, *_standardised(bunch.data, bunch.target)  # pyright: ignore[reportAttributeAccessIssue]
    features = datasets.load_breast_cancer().data  # pyright: ignore[reportAttributeAccessIssue]
    yield "breast cancer (worst radius)", *_standardised(np.delete(features, 20, 1), features[:, 20])
    yield "made, t(3) features and noise", *_heavy_tailed(20_000, 10)
    yield "made, t(2) features, uneven noise", *_uneven(50_000, 20)


def _standardised(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x = x[:, x.std(axis=0) > 0]
    return (x - x.mean(axis=0)) / x.std(axis=0), (y - y.mean()) / y.std()


def _heavy_tailed(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    x = rng.standard_t(3, (n, d))
    return _standardised(x, x @ rng.normal(size=d) + np.sqrt(d) * rng.standard_t(3, n))


def _uneven(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(8)
    x = np.clip(rng.standard_t(2, (n, d)), -1e3, 1e3)
    return _standardised(x, x @ rng.normal(size=d) + 1.5 * rng.normal(size=n) * (1 + 2 * np.abs(x[:, 0])))
