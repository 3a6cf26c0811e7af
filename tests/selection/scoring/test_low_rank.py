"""The parts of `low-rank`: directions, features, and losses fitted to them."""

from __future__ import annotations

import numpy as np
import pytest

from tithe.selection.scoring.low_rank import fit, leading_directions


def low_rank_vectors(n: int = 3000, d: int = 20, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors along three orthonormal directions (d, 3), and a little of all others."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.standard_normal((d, 3)))[0]
    vectors = rng.standard_normal((n, 3)) * [3, 2, 1] @ basis.T + 0.01 * rng.standard_normal((n, d))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), basis


def gram(vectors: np.ndarray) -> np.ndarray:
    return (vectors.T @ vectors).astype(np.float64)


def test_the_leading_directions_are_the_right_singular_vectors() -> None:
    vectors, basis = low_rank_vectors()
    found = leading_directions(gram(vectors), rank=3, landmarks=100)
    np.testing.assert_allclose(np.abs(found.directions.T @ basis) @ np.ones(3) > 0.9, True)
    singular = np.linalg.svd(vectors.astype(np.float64), compute_uv=False)
    np.testing.assert_allclose(found.squared_singular_values, singular[:3] ** 2, rtol=1e-4)
    assert found.share == pytest.approx((singular[:3] ** 2).sum() / (singular**2).sum())


@pytest.mark.parametrize(
    ("landmarks", "rank"), [(100, 3), (8, 2), (1, 1)], ids=["90% of the norms", "few landmarks", "one"]
)
def test_without_a_rank_there_are_as_many_as_the_norms_ask_for_and_the_landmarks_bear(
    landmarks: int, rank: int
) -> None:
    vectors, _ = low_rank_vectors()
    assert leading_directions(gram(vectors), rank=None, landmarks=landmarks).rank == rank


def test_features_are_squared_components_and_what_is_left_of_the_squared_norm() -> None:
    vectors, _ = low_rank_vectors()
    basis = leading_directions(gram(vectors), rank=2, landmarks=100)
    features = basis.features(vectors)
    np.testing.assert_allclose(features[:, :2], (vectors @ basis.directions) ** 2, rtol=1e-5)
    np.testing.assert_allclose(features.sum(axis=1), 1, rtol=1e-5)


def test_losses_of_the_directions_are_found_from_few_landmarks() -> None:
    vectors, _ = low_rank_vectors()
    basis = leading_directions(gram(vectors), rank=3, landmarks=100)
    features = basis.features(vectors)
    losses = features[:, :3] @ np.array([0.5, 4.0, 2.0]) + 0.05 * np.random.default_rng(1).random(len(vectors))
    found = fit(features[:60], losses[:60])
    assert np.corrcoef(found(features), losses)[0, 1] > 0.99
    np.testing.assert_allclose(found.intercept + found.slopes[:3], [0.5, 4.0, 2.0], atol=0.2)


def test_what_the_others_say_of_a_landmark_is_what_a_fit_without_it_would() -> None:
    rng = np.random.default_rng(0)
    features, losses = rng.random((30, 4)), rng.gamma(2, 1, 30)
    losses = losses + 5 * features[:, 0]
    found = fit(features, losses)
    assert found.penalty is not None
    kept = np.arange(30) != 7
    x, y = features[kept] - features[kept].mean(axis=0), losses[kept]
    slopes = np.linalg.solve(x.T @ x + found.penalty * np.eye(4), x.T @ (y - y.mean()))
    without = y.mean() + (features[7] - features[kept].mean(axis=0)) @ slopes
    # Exact where the mean is penalised with the rest; here the others' mean moves a little.
    assert found.left_out[7] == pytest.approx(without, abs=0.02)


@pytest.mark.parametrize("seed", range(5))
def test_losses_that_have_nothing_to_do_with_the_features_give_nearly_their_mean(seed: int) -> None:
    rng = np.random.default_rng(seed)
    features, losses = rng.random((200, 10)), rng.gamma(2, 1, 200)
    assert fit(features, losses)(features).std() < 0.3 * losses.std()


def test_equal_losses_and_features_in_one_place_do_no_harm() -> None:
    assert fit(np.ones((5, 3)), np.full(5, 2.0))(np.ones((2, 3))).tolist() == [2.0, 2.0]
    assert fit(np.ones((5, 3)), np.arange(5.0))(np.ones((2, 3))).tolist() == [2.0, 2.0]
