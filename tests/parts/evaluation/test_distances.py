"""Distances and measures by neighbours: against closed forms, and their definitions written out."""

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist

from kdiffusion.parts.evaluation import distances as room
from kdiffusion.parts.evaluation.distances import (
    Gaussian,
    copies,
    frechet_distance,
    gaussian_of,
    kernel_distance,
    nearest,
    precision_and_recall,
)


def _random_covariance(seed, size=6):
    factors = np.random.default_rng(seed).standard_normal((size, size))
    return factors @ factors.T


def test_covariances_that_commute():
    """With the same axes: the sum over the axes of the one-dimensional distances."""
    axes, _ = np.linalg.qr(_random_covariance(0))
    a_variances, b_variances = np.array([1, 4, 9, 0, 2, 5.0]), np.array([2, 1, 9, 3, 0, 7.0])
    a = Gaussian(np.zeros(6), (axes * a_variances) @ axes.T)
    b = Gaussian(np.ones(6), (axes * b_variances) @ axes.T)
    expected = 6 + np.sum((np.sqrt(a_variances) - np.sqrt(b_variances)) ** 2)
    assert frechet_distance(a, b) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(5))
def test_any_covariances_as_by_the_matrix_root_of_scipy(seed):
    rng = np.random.default_rng(seed)
    means = rng.standard_normal((2, 6))
    covariances = _random_covariance(seed), _random_covariance(seed + 100)
    a, b = map(Gaussian, means, covariances)
    cross = np.trace(sqrtm(covariances[0] @ covariances[1]).real)
    expected = np.sum((means[0] - means[1]) ** 2) + np.trace(sum(covariances)) - 2 * cross
    assert frechet_distance(a, b) == pytest.approx(expected)
    assert frechet_distance(b, a) == pytest.approx(expected)


def test_a_gaussian_is_the_mean_and_covariance_of_numpy(monkeypatch):
    monkeypatch.setattr(room, "BLOCK", 7)
    features = np.random.default_rng(0).normal(1e4, 0.1, (100, 5))  # far from 0, nearly equal
    gaussian = gaussian_of(features)
    np.testing.assert_allclose(gaussian.mean, features.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(gaussian.covariance, np.cov(features, rowvar=False), rtol=1e-6)


def test_the_kernel_distance_is_the_u_statistic_written_out():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((7, 3)), rng.normal(0.5, 1, (7, 3))

    def k(x, y):
        return (x @ y / 3 + 1) ** 3

    pairs = [(i, j) for i in range(7) for j in range(7) if i != j]
    expected = np.mean([k(a[i], a[j]) + k(b[i], b[j]) for i, j in pairs])
    expected -= 2 * np.mean([k(x, y) for x in a for y in b])
    estimates = kernel_distance(a, b, subsets=3, subset_size=7)
    np.testing.assert_allclose(estimates, [expected] * 3)  # all images, whatever their order


def test_the_kernel_distance_takes_subsets_that_a_seed_decides():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 40, 3))
    estimates = kernel_distance(a, b, subsets=5, subset_size=10, seed=3)
    assert len(set(estimates)) == 5
    # RandomState has 32 bits of a seed, and sampling takes 64.
    for seed in (3, 2**32 + 3, 2**64 - 2**32 + 3):
        np.testing.assert_array_equal(kernel_distance(a, b, 5, 10, seed=seed), estimates)


def _sets(seed=0, real=60, drawn=45, dimensions=3):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((real, dimensions)), rng.normal(0.3, 0.8, (drawn, dimensions))


def _radii(points, k):
    return np.sort(cdist(points, points), axis=1)[:, k]  # the 0th is the point itself


@pytest.mark.parametrize("block", [7, 500])
@pytest.mark.parametrize("k", [1, 3, 5])
def test_precision_and_recall_are_their_definitions(k, block, monkeypatch):
    monkeypatch.setattr(room, "BLOCK", block)
    real, drawn = _sets()
    apart = cdist(drawn, real)
    inside, recalled = apart <= _radii(real, k), apart <= _radii(drawn, k)[:, None]
    expected = inside.any(axis=1).mean(), recalled.any(axis=0).mean()
    assert precision_and_recall(real, drawn, k) == pytest.approx(expected)


def test_distances_far_from_zero_are_no_trouble():
    real, drawn = _sets()
    assert precision_and_recall(real + 1e6, drawn + 1e6) == precision_and_recall(real, drawn)


@pytest.mark.parametrize("block", [4, 500])
def test_the_nearest_is_the_nearest_and_a_copy_is_at_0(block, monkeypatch):
    monkeypatch.setattr(room, "BLOCK", block)
    rng = np.random.default_rng(0)
    among = (100 + rng.standard_normal((50, 6))).astype(np.float32)
    of = np.concatenate([100 + rng.standard_normal((9, 6)), among[[7]]]).astype(np.float32)
    indices, distances = nearest(of, among)
    table = np.linalg.norm(of[:, None].astype(float) - among[None], axis=2)
    np.testing.assert_array_equal(indices, table.argmin(axis=1))
    np.testing.assert_allclose(distances, table.min(axis=1))
    assert (indices[-1], distances[-1]) == (7, 0.0)


def _copies(distances, held_out):
    return copies(np.asarray(distances), np.asarray(held_out))


def test_copies_are_counted_below_the_nearest_held_out_image_that_is_fresh():
    found = _copies([0.0, 0.9, 1.0, 3.0], [1.0, 2.0, 4.0])
    assert found["copies"] == 2
    assert found["nearest_distance_ratio"] == pytest.approx(0.95 / 2)
    # A held-out image that is a training image, too, is no yardstick.
    assert _copies([0.0, 0.9, 1.0, 3.0], [0.0, 1.0, 2.0])["copies"] == 2
    assert _copies([0.5, 1.0], [0.0, 0.0]) == {}


def test_near_is_the_nearest_hundredth_of_the_held_out():
    found = _copies([2.005, 10.0, 50.0], np.arange(1.0, 201.0))
    assert found["near_training_share"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("held_out", [20, 98, 1000])
def test_of_samples_that_copy_nothing_as_many_are_near_as_by_chance(held_out):
    """Samples and held-out images of one kind: their distances are of one distribution."""
    rng, count = np.random.default_rng(0), 200
    found = [_copies(rng.random(count), rng.random(held_out)) for _ in range(4000)]
    for name, chance in (
        ("copies", "copies_by_chance"),
        ("near_training_share", "near_training_share_by_chance"),
    ):
        values = [each[name] for each in found]
        assert abs(np.mean(values) - found[0][chance]) < 4 * np.std(values) / len(values) ** 0.5
