"""How far apart two sets of images are: the Fréchet distance of their features, as Gaussians."""

from __future__ import annotations

from typing import Any, Self

import numpy as np


class GaussianStatistics:
    """Mean and covariance of features that arrive in batches (Chan et al. 1983): none are kept.

    Attributes:
        count: int. Features seen.
        mean: float64 array `[D]`.
    """

    def __init__(self):
        self.count = 0
        # Arrays, once features came.
        self.mean: Any = None
        self._covariance = None  # of statistics that came whole
        self._scatter: Any = None  # sum of the outer products of the deviations from the mean

    @classmethod
    def of(
        cls, mean: np.ndarray, covariance: np.ndarray, count: int | None = None
    ) -> GaussianStatistics:
        """Statistics that are known already; `count` is None where it isn't.

        Raises:
            ValueError: numbers that are no mean `[D]` and covariance `[D, D]`.
        """
        mean, covariance = np.asarray(mean, np.float64), np.asarray(covariance, np.float64)
        finite = np.isfinite(mean).all() and np.isfinite(covariance).all()
        if mean.ndim != 1 or covariance.shape != 2 * mean.shape or not finite:
            raise ValueError(
                "`mean` must be finite [D] and `covariance` finite [D, D]. "
                f"Received: shapes {mean.shape} and {covariance.shape}"
            )
        statistics = cls()
        statistics.count, statistics.mean = count, mean
        statistics._covariance = covariance
        return statistics

    def add(self, features: np.ndarray) -> Self:
        """Takes in features `[N, D]` and returns itself."""
        if self._covariance is not None:
            raise ValueError("Statistics that came whole, by `of`, take in no more features")
        features = np.asarray(features, np.float64)
        if features.ndim != 2 or len(features) == 0 or not np.all(np.isfinite(features)):
            raise ValueError(
                "`features` must be finite numbers of shape [N, D], N at least 1. "
                f"Received: features of shape {features.shape}"
            )
        if self.count and features.shape[1] != len(self.mean):
            raise ValueError(
                f"`features` must have {len(self.mean)} dimensions, as those before. "
                f"Received: {features.shape[1]}"
            )
        mean = features.mean(axis=0)
        centred = features - mean
        scatter = centred.T @ centred
        if self.count:
            shift, total = mean - self.mean, self.count + len(features)
            scatter += self._scatter
            scatter += np.outer(shift, shift) * (self.count * len(features) / total)
            mean = self.mean + shift * (len(features) / total)
        self.count, self.mean, self._scatter = self.count + len(features), mean, scatter
        return self

    @property
    def covariance(self) -> np.ndarray:
        """float64 array `[D, D]`: the unbiased covariance; needs two features at least."""
        if self._covariance is not None:
            return self._covariance
        if self.count < 2:
            raise ValueError(f"A covariance needs 2 features at least. Received: {self.count}")
        return self._scatter / (self.count - 1)


def frechet_distance(a: GaussianStatistics, b: GaussianStatistics) -> float:
    """|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)) (Dowson & Landau 1982; Heusel et al. 2017).

    The squared 2-Wasserstein distance of two Gaussians. On the features of an Inception network it
    is the FID; on other features it is not, and only numbers on the same features compare. With few
    images it comes out too large, so only numbers of as many images compare.

    Args:
        a: GaussianStatistics.
        b: GaussianStatistics of features of as many dimensions.

    Returns:
        float, at least 0.
    """
    if len(a.mean) != len(b.mean):
        raise ValueError(
            "`a` and `b` must be of features of the same dimensions. "
            f"Received: {len(a.mean)} and {len(b.mean)}"
        )
    # The trace of (C_a C_b)^(1/2) is that of (S C_b S)^(1/2), S^2 = C_a, which is symmetric: no
    # complex numbers, however singular C_a and C_b are.
    values, vectors = np.linalg.eigh(a.covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    values = np.linalg.eigvalsh(root @ b.covariance @ root)
    cross = np.sqrt(np.maximum(values, 0.0)).sum()
    spread = np.trace(a.covariance) + np.trace(b.covariance) - 2.0 * cross
    return float(max(np.sum((a.mean - b.mean) ** 2) + spread, 0.0))


def kernel_distance(
    a: np.ndarray, b: np.ndarray, subsets: int = 100, subset_size: int = 1000, seed: int = 0
) -> np.ndarray:
    """Squared MMD with the kernel (x . y / D + 1)^3, unbiased (Binkowski et al. 2018, section 4).

    The mean over pairs of random subsets. On the features of an Inception network it is the KID.
    Of independent images its mean does not depend on their number; it may come out below 0 where
    the sets are alike. Of images with classes in fixed shares it comes out lower, by the variance
    between classes over N - 1. The same seed takes the same subsets as torch-fidelity does.

    Args:
        a: array `[N, D]` of features.
        b: array `[M, D]`.
        subsets: int. Defaults to `100`.
        subset_size: int, from 2 to the smaller of N and M. Defaults to `1000`.
        seed: int, >= 0. Of the subsets; NumPy's `RandomState` takes its last 32 bits. Defaults to
            `0`.

    Returns:
        float64 array `[subsets]`: the estimate of each pair.
    """
    most = min(len(a), len(b))
    if not 2 <= subset_size <= most:
        raise ValueError(
            f"`subset_size` must be from 2 to the {most} images of the smaller set. "
            f"Received: subset_size={subset_size}"
        )
    check_same_dimensions(a, b)
    rng = np.random.RandomState(seed % 2**32)
    estimates = np.empty(subsets)
    for index in range(subsets):
        x, y = (
            np.asarray(each[np.sort(rng.choice(len(each), subset_size, replace=False))], np.float64)
            for each in (a, b)
        )
        within = sum(_cubic_kernel(z, z).sum() - _cubic_diagonal(z).sum() for z in (x, y))
        across = _cubic_kernel(x, y).mean()
        estimates[index] = within / (subset_size * (subset_size - 1)) - 2.0 * across
    return estimates


def check_same_dimensions(a: np.ndarray, b: np.ndarray) -> None:
    """Refuses two arrays of features `[N, D]` that are not of the same D."""
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(
            "Both sets of features must be [N, D] with the same D. "
            f"Received: shapes {a.shape} and {b.shape}"
        )


def _cubic_kernel(x, y):
    return _cube(x @ y.T / x.shape[1] + 1.0)


def _cubic_diagonal(x):
    return _cube(np.einsum("nd,nd->n", x, x) / x.shape[1] + 1.0)


def _cube(x):
    return x * x * x  # many times faster than NumPy's power
