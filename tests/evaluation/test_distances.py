"""The Fréchet distance against its closed forms, and statistics that arrive in pieces."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from kdiffusion.evaluation.distances import (
    GaussianStatistics,
    frechet_distance,
    kernel_distance,
)


def _exactly(mean, covariance, count=1000):
    """Statistics with just this mean and covariance, from features that have them."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((count, len(mean)))
    noise -= noise.mean(axis=0)
    white = noise @ np.linalg.inv(np.linalg.cholesky(np.atleast_2d(np.cov(noise, rowvar=False)))).T
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    return GaussianStatistics().add(mean + white @ root)


def _random_covariance(seed, size=6):
    factors = np.random.default_rng(seed).standard_normal((size, size))
    return factors @ factors.T


def test_gaussians_in_one_dimension():
    """(m_a - m_b)^2 + (s_a - s_b)^2."""
    a, b = _exactly([1.0], [[4.0]]), _exactly([-2.0], [[0.25]])
    assert frechet_distance(a, b) == pytest.approx(3.0**2 + (2.0 - 0.5) ** 2)


def test_covariances_that_commute():
    """With the same axes: the sum over the axes of the one-dimensional distances."""
    axes, _ = np.linalg.qr(_random_covariance(0))
    a_variances, b_variances = np.array([1, 4, 9, 0, 2, 5.0]), np.array([2, 1, 9, 3, 0, 7.0])
    a = _exactly(np.zeros(6), (axes * a_variances) @ axes.T)
    b = _exactly(np.ones(6), (axes * b_variances) @ axes.T)
    expected = 6 + np.sum((np.sqrt(a_variances) - np.sqrt(b_variances)) ** 2)
    assert frechet_distance(a, b) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(5))
def test_any_covariances_as_by_the_matrix_root_of_scipy(seed):
    rng = np.random.default_rng(seed)
    means = rng.standard_normal((2, 6))
    covariances = _random_covariance(seed), _random_covariance(seed + 100)
    a, b = map(_exactly, means, covariances)
    cross = np.trace(sqrtm(covariances[0] @ covariances[1]).real)
    expected = np.sum((means[0] - means[1]) ** 2) + np.trace(sum(covariances)) - 2 * cross
    assert frechet_distance(a, b) == pytest.approx(expected)
    assert frechet_distance(b, a) == pytest.approx(expected)


def test_the_distance_to_itself_is_0_and_to_a_shifted_copy_the_shift():
    features = np.random.default_rng(0).standard_normal((50, 4))
    a = GaussianStatistics().add(features)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-12)
    b = GaussianStatistics().add(features + np.array([3.0, 0, 4.0, 0]))
    assert frechet_distance(a, b) == pytest.approx(25)


def test_fewer_features_than_dimensions_are_no_trouble():
    rng = np.random.default_rng(0)
    a, b = (GaussianStatistics().add(rng.standard_normal((5, 20))) for _ in range(2))
    assert np.isfinite(frechet_distance(a, b))
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("sizes", [[100], [1] * 100, [99, 1], [1, 99], [30, 50, 20]])
def test_pieces_make_the_whole(sizes):
    features = np.random.default_rng(0).normal(1e4, 0.1, (100, 5))  # far from 0, nearly equal
    statistics = GaussianStatistics()
    for piece in np.split(features, np.cumsum(sizes)[:-1]):
        statistics.add(piece)
    assert statistics.count == 100
    np.testing.assert_allclose(statistics.mean, features.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(statistics.covariance, np.cov(features, rowvar=False), rtol=1e-6)


@pytest.mark.parametrize(
    "features", [np.zeros(3), np.zeros((0, 3)), np.zeros((2, 4)), np.full((2, 3), np.nan)]
)
def test_what_are_no_features_are_refused(features):
    statistics = GaussianStatistics().add(np.ones((2, 3)))
    with pytest.raises(ValueError, match="`features`"):
        statistics.add(features)


def test_one_feature_has_no_covariance_and_dimensions_must_agree():
    with pytest.raises(ValueError, match="2 features"):
        _ = GaussianStatistics().add(np.ones((1, 3))).covariance
    with pytest.raises(ValueError, match="Received: 3 and 2"):
        frechet_distance(GaussianStatistics().add(np.eye(3)), GaussianStatistics().add(np.eye(2)))


def test_statistics_that_are_known_serve_as_those_that_were_taken():
    a, b = _exactly([1.0, 2.0], np.eye(2)), _exactly([0.0, 0.0], 4 * np.eye(2))
    known = GaussianStatistics.of(a.mean, a.covariance)
    assert frechet_distance(known, b) == frechet_distance(a, b)
    with pytest.raises(ValueError, match="no more features"):
        known.add(np.ones((3, 2)))
    for mean, covariance in (([1.0], np.eye(2)), ([np.nan, 0], np.eye(2)), ([[1.0]], [[1.0]])):
        with pytest.raises(ValueError, match="`mean` must be finite"):
            GaussianStatistics.of(mean, covariance)


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


def test_the_kernel_distance_has_no_bias_of_few_images():
    """For N(0, 1) against N(m, 1) in one dimension, E k(x, y) = E (x y + 1)^3 has a closed form."""
    rng, m = np.random.default_rng(0), 0.7

    def mean_kernel(p, q):  # E (xy + 1)^3 = E x^3 E y^3 + 3 E x^2 E y^2 + 3 E x E y + 1
        moments = [(mean, 1 + mean**2, mean**3 + 3 * mean) for mean in (p, q)]
        (x1, x2, x3), (y1, y2, y3) = moments
        return x3 * y3 + 3 * x2 * y2 + 3 * x1 * y1 + 1

    exact = mean_kernel(0, 0) + mean_kernel(m, m) - 2 * mean_kernel(0, m)
    for size in (3, 30):
        estimates = [
            kernel_distance(rng.standard_normal((size, 1)), rng.normal(m, 1, (size, 1)), 1, size)[0]
            for _ in range(40_000 // size)
        ]
        error = np.std(estimates) / len(estimates) ** 0.5
        assert abs(np.mean(estimates) - exact) < 4 * error


def test_the_kernel_distance_takes_subsets_that_a_seed_decides_and_refuses_too_large_ones():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 40, 3))
    estimates = kernel_distance(a, b, subsets=5, subset_size=10, seed=3)
    assert len(set(estimates)) == 5
    # RandomState has 32 bits of a seed, and drawing takes 64.
    for seed in (3, 2**32 + 3, 2**64 - 2**32 + 3):
        np.testing.assert_array_equal(kernel_distance(a, b, 5, 10, seed=seed), estimates)
    for size in (1, 41):
        with pytest.raises(ValueError, match="from 2 to the 40 images"):
            kernel_distance(a, b, subset_size=size)
