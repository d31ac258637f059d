"""Bring one image to the data set's size: centre crop to a square, then resample (Pillow)."""

import numpy as np
from PIL import Image, ImageOps


def fit_to_square(pixels: np.ndarray, image_size: int) -> np.ndarray:
    """The largest centred square of an image, resampled with Lanczos to `image_size`.

    Args:
        pixels: uint8 array `[H, W, C]`, C = 1 or 3.
        image_size: int. Height and width of the result, in pixels.

    Returns:
        uint8 array `[image_size, image_size, C]`; the input itself where it has that size.
    """
    height, width, channels = pixels.shape
    if (height, width) == (image_size, image_size):
        return pixels
    # Pillow's grey images have no channel axis.
    image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
    fitted = ImageOps.fit(image, (image_size, image_size), method=Image.Resampling.LANCZOS)
    return np.asarray(fitted).reshape(image_size, image_size, channels)
