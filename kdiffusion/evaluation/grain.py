"""How much grain images carry, in levels of 255: what no classifier's features are sure to see."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

# Grain alone is left of what is flat, or rises evenly across or down (Immerkaer 1996, equation 1).
MASK = ((1, -2, 1), (-2, 4, -2), (1, -2, 1))


def grain_levels(images: np.ndarray) -> np.ndarray:
    """The standard deviation of the grain in each image (Immerkaer 1996, "Fast Noise Variance").

    Fine texture and edges count as grain, so images are compared with real ones; blur lowers it.

    Args:
        images: uint8 array `[N, H, W, C]`, of 3 pixels a side at least.

    Returns:
        float64 array `[N]`. Of Gaussian noise on a flat image, its standard deviation.
    """
    pixels = np.asarray(images, np.float32)
    height, width = pixels.shape[1] - 2, pixels.shape[2] - 2
    response = np.zeros((len(pixels), height, width, pixels.shape[3]), np.float32)
    for i, row in enumerate(MASK):
        for j, weight in enumerate(row):
            response += weight * pixels[:, i : i + height, j : j + width]
    # A sum by these weights has 6 times the noise's deviation; the mean size of a normal variable
    # is its deviation times sqrt(2 / pi).
    return np.sqrt(np.pi / 2) / 6 * np.abs(response).mean(axis=(1, 2, 3), dtype=np.float64)


def grain_of_all(batches: Iterable[np.ndarray]) -> np.ndarray:
    """`grain_levels` of images that come in batches and are not kept: float64 array `[N]`."""
    return np.concatenate([grain_levels(batch) for batch in batches])
