"""Images and masks that a user hands to a command, as the model needs them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kdiffusion.images import fit_image, read_image, to_model_range

if TYPE_CHECKING:
    from kdiffusion.diffusion.card import DenoiserCard


def read_given_image(path: str | Path, card: DenoiserCard, resize: bool = False) -> np.ndarray:
    """Reads an image file in the shape and range of a model, grey or RGB as the model is.

    Args:
        path: path of a file of one of `kdiffusion.images.FILE_FORMATS`.
        card: DenoiserCard.
        resize: bool. Whether an image of another size is cropped about its centre and resampled.
            Defaults to `False`.

    Returns:
        float32 array `[H, W, C]` in the card's value range.

    Raises:
        ValueError: not an image, or of another size and `resize` is False.
    """
    pixels = _read_fitted(path, card, resize)
    if card.image_shape[2] == 1:
        pixels = _to_grey(pixels)
    return to_model_range(np.broadcast_to(pixels, card.image_shape))


def read_mask(path: str | Path, card: DenoiserCard, resize: bool = False) -> np.ndarray:
    """Reads which pixels to paint anew: those that are white (at least half) in an image file.

    Args:
        path, card, resize: as for `read_given_image`.

    Returns:
        bool array `[H, W]`: True is painted anew, as in most other tools.
    """
    return _to_grey(_read_fitted(path, card, resize))[..., 0] >= 128


def _read_fitted(path, card, resize):
    pixels, (height, width, _) = read_image(path), card.image_shape
    if pixels.shape[:2] != (height, width) and not resize:
        raise ValueError(
            f"{path} must be {width}x{height} pixels; `--resize` crops and resamples it. "
            f"Received: {pixels.shape[1]}x{pixels.shape[0]} pixels"
        )
    return fit_image(pixels, (height, width))


def _to_grey(pixels):
    """Luminance (ITU-R 601-2, as Pillow's) of uint8 `[H, W, 1 or 3]` as uint8 `[H, W, 1]`."""
    if pixels.shape[-1] == 1:
        return pixels
    return np.rint(pixels @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)[..., None]
