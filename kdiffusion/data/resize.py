"""Bring one image to the data set's size: centre crop to a square, then resample (Pillow)."""

import numpy as np

from kdiffusion.images import fit_to_size


def fit_to_square(pixels: np.ndarray, image_size: int) -> np.ndarray:
    """The largest centred square of an image, resampled with Lanczos to `image_size`.

    Args:
        pixels: uint8 array `[H, W, C]`, C = 1 or 3.
        image_size: int. Height and width of the result, in pixels.

    Returns:
        uint8 array `[image_size, image_size, C]`; the input itself where it has that size.
    """
    return fit_to_size(pixels, image_size, image_size)
