"""Measures by nearest neighbours in a space of features: fidelity, variety, copies."""

from __future__ import annotations

import dataclasses

import numpy as np

from .distances import check_same_dimensions

BLOCK = 500  # rows of a matrix of distances that are held at a time
NEAREST_SHARE = 0.01  # of the held-out images: as near as they is near


def precision_and_recall(real: np.ndarray, drawn: np.ndarray, k: int = 3) -> tuple[float, float]:
    """Improved precision and recall (Kynkäänniemi et al. 2019, eq. 1 and 2).

    A set's manifold is the union of balls around its members, each reaching to its k-th nearest
    neighbour. Precision is the share of drawn images inside the real manifold, recall the share of
    real images inside the drawn one.

    Args:
        real: array `[N, D]` of features, N above k.
        drawn: array `[M, D]`, M above k.
        k: int. Defaults to `3`.

    Returns:
        (float, float): precision and recall, each 0 .. 1.
    """
    real, drawn = _prepared(real, drawn, k)
    return _share_inside(drawn, real, _radii(real, k)), _share_inside(real, drawn, _radii(drawn, k))


def density_and_coverage(real: np.ndarray, drawn: np.ndarray, k: int = 5) -> tuple[float, float]:
    """Density and coverage (Naeem et al. 2020, eq. 2 and 3).

    Both use the balls around the real images alone. Density counts in how many of them a drawn
    image lies, over k: 1 for a perfect set, and it may exceed 1. Coverage is the share of balls
    with a drawn image inside.

    Args:
        real: array `[N, D]` of features, N above k.
        drawn: array `[M, D]`.
        k: int. Defaults to `5`.

    Returns:
        (float, float): density, at least 0, and coverage, 0 .. 1.
    """
    real, drawn = _prepared(real, drawn, k, both=False)
    radii, inside, covered = _radii(real, k), 0, np.zeros(len(real), bool)
    for rows in _blocks(len(drawn)):
        within = _squared_distances(drawn[rows], real) < radii
        inside += int(within.sum())
        covered |= within.any(axis=0)
    return inside / (k * len(drawn)), float(covered.mean())


@dataclasses.dataclass(frozen=True)
class Copies:
    """How near images lie to the training images, against how near held-out ones do.

    Attributes:
        nearest: int array `[M]`. The training image nearest to each drawn one.
        distances: float64 array `[M]`. To it, in units of the features.
        held_out_distances: float64 array `[K]`. Of the held-out images to theirs.
    """

    nearest: np.ndarray
    distances: np.ndarray
    held_out_distances: np.ndarray

    @property
    def fresh_distances(self) -> np.ndarray:
        """float64 array: the distances of the held-out images that are no training images.

        One that is a training image itself measures nothing.
        """
        return self.held_out_distances[self.held_out_distances > 0]

    @property
    def nearer_than_any(self) -> int | None:
        """int: drawn images that are nearer to a training image than any held-out one is.

        None without any that is no training image, as all that follows.
        """
        fresh = self.fresh_distances
        return int(np.sum(self.distances < fresh.min())) if len(fresh) else None

    @property
    def nearer_by_chance(self) -> float | None:
        """float: how many those are expected to be of images that copy nothing."""
        fresh = len(self.fresh_distances)
        return len(self.distances) / (fresh + 1) if fresh else None

    @property
    def near_share(self) -> float | None:
        """float: the share of the drawn images that are as near as the nearest 1 % of held-out."""
        if not len(self.fresh_distances):
            return None
        # By this method, whatever their number, so many of other such images lie below it.
        limit = np.quantile(self.fresh_distances, NEAREST_SHARE, method="weibull")
        return float(np.mean(self.distances < limit))

    @property
    def near_share_by_chance(self) -> float | None:
        """float: what that is expected to be; the nearest is the limit of fewer than 99."""
        fresh = len(self.fresh_distances)
        return max(NEAREST_SHARE, 1 / (fresh + 1)) if fresh else None

    @property
    def median_ratio(self) -> float | None:
        """float: median distance of the drawn over that of the held-out; 1 for fresh images."""
        if not len(self.fresh_distances):
            return None
        return float(np.median(self.distances) / np.median(self.fresh_distances))


def nearest(of: np.ndarray, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest of some features to each of others, in Euclidean distance.

    Args:
        of: array `[M, D]`.
        among: array `[N, D]`; may lie on disk.

    Returns:
        (int array `[M]`, float64 array `[M]`): indices into `among`, and distances: exactly 0 for
        equal features.
    """
    check_same_dimensions(of, among)
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


def _prepared(real, drawn, k, both=True):
    check_same_dimensions(real, drawn)
    fewest = min(len(real), len(drawn)) if both else len(real)
    if not 1 <= k < fewest:
        raise ValueError(
            f"`k` must be from 1 to {fewest - 1}, below the number of images. Received: k={k}"
        )
    real, drawn = np.asarray(real, np.float64), np.asarray(drawn, np.float64)
    centre = real.mean(axis=0)  # far from 0, squares would swamp the distances
    return real - centre, drawn - centre


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
