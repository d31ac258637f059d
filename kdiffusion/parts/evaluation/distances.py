"""How far apart two sets of images are, by their features: distances, neighbours, copies."""

from typing import Any, NamedTuple

import numpy as np

BLOCK = 500  # rows of a matrix of distances that are held at a time
NEAREST_SHARE = 0.01  # of the held-out images: as near as they is near


class Gaussian(NamedTuple):
    """Mean, float64 `[D]`, and unbiased covariance, float64 `[D, D]`."""

    mean: np.ndarray
    covariance: np.ndarray


def gaussian_of(features: np.ndarray) -> Gaussian:
    """The Gaussian of features `[N, D]`, N at least 2."""
    mean = features.mean(axis=0, dtype=np.float64)
    scatter = np.zeros(2 * mean.shape)
    for rows in _blocks(len(features)):
        centred = features[rows] - mean
        scatter += centred.T @ centred
    return Gaussian(mean, scatter / (len(features) - 1))


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)) (Dowson & Landau 1982; Heusel et al. 2017).

    The squared 2-Wasserstein distance of two Gaussians. On the features of an Inception network it
    is the FID; on other features it is not, and only numbers on the same features compare. With few
    images it comes out too large, so only numbers of equally many images compare.
    """
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
    rng = np.random.RandomState(seed % 2**32)
    estimates = np.empty(subsets)
    for index in range(subsets):
        x, y = (
            np.asarray(each[np.sort(rng.choice(len(each), subset_size, replace=False))], np.float64)
            for each in (a, b)
        )
        kernels = (_cubic_kernel(z, z) for z in (x, y))
        within = sum(kernel.sum() - np.trace(kernel) for kernel in kernels)
        across = _cubic_kernel(x, y).mean()
        estimates[index] = within / (subset_size * (subset_size - 1)) - 2.0 * across
    return estimates


def precision_and_recall(real: np.ndarray, samples: np.ndarray, k: int = 3) -> tuple[float, float]:
    """Improved precision and recall (Kynkäänniemi et al. 2019, eq. 1 and 2).

    A set's manifold is the union of balls around its members, each reaching to its k-th nearest
    neighbour. Precision is the share of samples inside the real manifold, recall the share of
    real images inside the samples'.

    Args:
        real: array `[N, D]` of features, N above k.
        samples: array `[M, D]`, M above k.
        k: int. Defaults to `3`.

    Returns:
        (float, float): precision and recall, each 0 .. 1.
    """
    real, samples = _centred(real, samples)
    return _share_inside(samples, real, _radii(real, k)), _share_inside(
        real, samples, _radii(samples, k)
    )


def copies(distances: np.ndarray, held_out_distances: np.ndarray) -> dict[str, Any]:
    """How many samples may be copies of training images, by how near held-out images come.

    Args:
        distances: float64 array `[M]`. Of the samples to their nearest training images.
        held_out_distances: float64 array `[K]`. Of held-out images to theirs; one at 0 is a
            training image itself, and measures nothing.

    Returns:
        dict: `copies`, samples nearer than any held-out image; `near_training_share`, those as near
        as the nearest 1 % of held-out images; what both are expected to be of samples that copy
        nothing; `nearest_distance_ratio`, of the medians. Empty where no held-out image is fresh.
    """
    fresh = held_out_distances[held_out_distances > 0]
    if not len(fresh):
        return {}
    nearer = int(np.sum(distances < fresh.min()))
    # By this method, whatever their number, so many of other such images lie below it.
    limit = np.quantile(fresh, NEAREST_SHARE, method="weibull")
    return {
        "copies": nearer,
        "copies_by_chance": len(distances) / (len(fresh) + 1),
        "near_training_share": float(np.mean(distances < limit)),
        # Of fewer than 99 the nearest is the limit.
        "near_training_share_by_chance": max(NEAREST_SHARE, 1 / (len(fresh) + 1)),
        "nearest_distance_ratio": float(np.median(distances) / np.median(fresh)),
    }


def nearest(of: np.ndarray, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest of some features to each of others, in Euclidean distance.

    Args:
        of: array `[M, D]`.
        among: array `[N, D]`.

    Returns:
        (int array `[M]`, float64 array `[M]`): indices into `among`, and distances: exactly 0 for
        equal features.
    """
    mean = np.asarray(among[: 10 * BLOCK], np.float64).mean(axis=0)
    # float32 finds the nearest; its distance is then taken again, without cancellation.
    among_32 = (among - mean).astype(np.float32)
    norms = np.einsum("nd,nd->n", among_32, among_32)
    indices, distances = np.empty(len(of), np.int64), np.empty(len(of))
    for rows in _blocks(len(of)):
        block = (of[rows] - mean).astype(np.float32)
        found = np.argmin(norms - 2.0 * (block @ among_32.T), axis=1)
        gaps = np.asarray(of[rows], np.float64) - among[found]
        indices[rows], distances[rows] = found, np.linalg.norm(gaps, axis=1)
    return indices, distances


def _centred(real, samples):
    """In float64; far from 0, squares would swamp the distances."""
    real, samples = np.asarray(real, np.float64), np.asarray(samples, np.float64)
    centre = real.mean(axis=0)
    return real - centre, samples - centre


def _blocks(count):
    return (slice(first, min(first + BLOCK, count)) for first in range(0, count, BLOCK))


def _squared_distances(a, b):
    """`[N, M]`; never below 0, and 0 where rounding would say otherwise."""
    squares = np.einsum("nd,nd->n", a, a)[:, None] + np.einsum("nd,nd->n", b, b)
    return np.maximum(squares - 2.0 * (a @ b.T), 0.0)


def _radii(features, k):
    """The squared distance of each to its k-th nearest other, `[N]`."""
    radii = np.empty(len(features))
    for rows in _blocks(len(features)):
        squared = _squared_distances(features[rows], features)
        squared[np.arange(len(squared)), np.arange(rows.start, rows.stop)] = 0.0  # to itself
        radii[rows] = np.partition(squared, k, axis=1)[:, k]
    return radii


def _share_inside(points, centres, radii):
    inside = 0
    for rows in _blocks(len(points)):
        inside += int((_squared_distances(points[rows], centres) <= radii).any(axis=1).sum())
    return inside / len(points)


def _cubic_kernel(x, y):
    base = x @ y.T / x.shape[1] + 1.0
    return base * base * base  # many times faster than NumPy's power
