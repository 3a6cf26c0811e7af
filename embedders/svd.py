"""The leading right singular vectors of a sparse array, on all cores."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.linalg
from threadpoolctl import threadpool_limits

from tithe.embedders.ngrams import SparseRows

_OVERSAMPLING = 10
_ITERATIONS = 2
_PARTS = 32

Dense = npt.NDArray[np.float32]


def right_singular_vectors(x: SparseRows, rank: int, *, seed: int, threads: int) -> Dense:
    """The `rank` leading right singular vectors of x (n, m), largest first: shape (m, rank), float32.

    Where x has fewer rows or columns than `rank`, the rest is zero. Neither `threads` nor the number of
    threads that BLAS uses elsewhere changes the result.

    This is the randomised subspace iteration (Halko, Martinsson & Tropp 2011) of scikit-learn's
    `randomized_svd`, whose sparse products keep to one core: they are nearly all of the work.
    """
    vectors = np.zeros((x.shape[1], rank), np.float32)
    width = min(rank + _OVERSAMPLING, *x.shape)
    if width == 0:
        return vectors
    # BLAS splits its sums by its number of threads, so it gets one; the sparse products take the other cores.
    with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
        parts, transposed = _row_blocks(x), _row_blocks(x.T.tocsr())

        def product(blocks: list[SparseRows], dense: Dense) -> Dense:
            return np.concatenate(list(pool.map(lambda block: block @ dense, blocks)))

        basis = np.random.default_rng(seed).standard_normal((x.shape[0], width), dtype=np.float32)
        basis = product(transposed, basis)
        for _ in range(_ITERATIONS):
            basis = product(transposed, _conditioned(product(parts, _conditioned(basis))))
        basis = _orthonormal(basis)
        image = product(parts, basis).astype(np.float64)
        _, rotation = np.linalg.eigh(image.T @ image)
        leading = basis @ rotation[:, ::-1][:, :rank].astype(np.float32)
    vectors[:, : leading.shape[1]] = leading
    return vectors


def _row_blocks(x: SparseRows) -> list[SparseRows]:
    """Blocks of rows with about as many stored values each."""
    borders = np.searchsorted(x.indptr, np.linspace(0, x.nnz, _PARTS + 1)[1:-1])
    borders = np.unique(np.concatenate([[0], borders, [x.shape[0]]]))
    return [x[first:last] for first, last in itertools.pairwise(borders)]


def _conditioned(basis: Dense) -> Dense:
    """Another basis of the same space, well enough conditioned; cheaper than an orthonormal one."""
    factors: Any = scipy.linalg.lu(basis, permute_l=True, check_finite=False)
    return factors[0]


def _orthonormal(basis: Dense) -> Dense:
    # scipy's, since numpy's computes in float64 whatever it is given.
    factors: Any = scipy.linalg.qr(basis, mode="economic", check_finite=False)
    return factors[0]
