"""Bring one image to the data set's size: centre crop to its proportions, then resample."""

import numpy as np

from kdiffusion.images import fit_to_size

ImageSize = int | tuple[int, int]  # the side of a square, or (height, width)


def height_and_width(image_size: ImageSize) -> tuple[int, int]:
    """The two sides that a size stands for.

    Args:
        image_size: int, or two of them.

    Raises:
        ValueError: anything else, or a side below 1.
    """
    sides = image_size if isinstance(image_size, tuple | list) else (image_size, image_size)
    whole = [isinstance(side, int) and not isinstance(side, bool) for side in sides]
    if len(sides) != 2 or not all(whole) or min(sides) < 1:
        raise ValueError(
            "`image_size` must be a whole number of at least 1, or two: height and width. "
            f"Received: image_size={image_size}"
        )
    height, width = sides
    return height, width


def fit_image(pixels: np.ndarray, image_size: ImageSize) -> np.ndarray:
    """The largest centred part of an image of the size's proportions, resampled with Lanczos.

    Args:
        pixels: uint8 array `[H, W, C]`, C = 1 or 3.
        image_size: int or (height, width) of the result, in pixels.

    Returns:
        uint8 array `[height, width, C]`; the input itself where it has that size.
    """
    return fit_to_size(pixels, *height_and_width(image_size))
