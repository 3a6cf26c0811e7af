"""The truncated SVD: close to the exact one, for any shape and any number of threads."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.typing import NDArray

from tithe.embedders.svd import right_singular_vectors


def decaying(rows: int, columns: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(0)
    size = min(rows, columns)
    left = np.linalg.qr(rng.standard_normal((rows, size)))[0]
    right = np.linalg.qr(rng.standard_normal((columns, size)))[0]
    return (left * 0.8 ** np.arange(size) @ right.T).astype(np.float32)


def test_close_to_the_exact_vectors() -> None:
    x = decaying(300, 200)
    vectors = right_singular_vectors(sp.csr_array(x), 10, seed=0, threads=2)
    exact = np.linalg.svd(x)[2][:10].T
    assert np.abs(np.abs((vectors * exact).sum(axis=0)) - 1).max() < 1e-3
    assert np.allclose(vectors.T @ vectors, np.eye(10), atol=1e-5)


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0), (1, 1), (3, 50), (50, 3), (20, 20)])
def test_more_vectors_than_there_are_end_in_zeros(shape: tuple[int, int]) -> None:
    x = decaying(*shape) if min(shape) else np.zeros(shape, np.float32)
    vectors = right_singular_vectors(sp.csr_array(x), 30, seed=0, threads=2)
    assert vectors.shape == (shape[1], 30)
    assert np.allclose(x @ vectors @ vectors.T, x, atol=1e-5)
    assert not vectors[:, min(shape) :].any()


def test_an_array_of_low_rank_or_none_gives_finite_vectors() -> None:
    for x in (np.zeros((40, 30), np.float32), np.ones((40, 30), np.float32)):
        vectors = right_singular_vectors(sp.csr_array(x), 8, seed=0, threads=1)
        assert np.isfinite(vectors).all()
        assert np.allclose(x @ vectors @ vectors.T, x, atol=1e-4)


def test_threads_change_no_bit() -> None:
    x = sp.random(500, 400, 0.05, "csr", np.float32, np.random.default_rng(1))
    one, three = (right_singular_vectors(sp.csr_array(x), 20, seed=4, threads=n) for n in (1, 3))
    assert np.array_equal(one, three)
