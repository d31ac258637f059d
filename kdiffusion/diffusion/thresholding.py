"""Keeping the predicted image within the range of images, before the next step is computed."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from kdiffusion.checks import check_number


def static_threshold(value_range: tuple[float, float]) -> Callable[[np.ndarray], np.ndarray]:
    """Clips x_0 to the value range (Ho et al. 2020's code, `clip_denoised`)."""
    low, high = value_range
    return lambda x0: np.clip(x0, low, high)


def dynamic_threshold(
    value_range: tuple[float, float], quantile: float
) -> Callable[[np.ndarray], np.ndarray]:
    """Dynamic thresholding: strong guidance without saturation (Saharia et al. 2022, Imagen, 2.3).

    An image whose |x_0| exceeds the range is clipped at its `quantile` and scaled back into it.

    Args:
        value_range: `(low, high)`; what is said of |x_0| holds about the middle of the range.
        quantile: float in (0, 1]. Imagen's is 0.995.

    Returns:
        A function x0 -> x0 of arrays `[B, H, W, C]`, each image on its own.
    """
    need = "a quantile above 0 and at most 1, such as 0.995"
    check_number("dynamic_threshold", quantile, need, math.ulp(0.0), 1)
    middle, half = (value_range[0] + value_range[1]) / 2, (value_range[1] - value_range[0]) / 2

    def threshold(x0):
        centred = (x0 - middle) / half
        limit = np.quantile(np.abs(centred), quantile, axis=(1, 2, 3), keepdims=True)
        limit = np.maximum(limit, 1.0)
        return middle + half * np.clip(centred, -limit, limit) / limit

    return threshold
