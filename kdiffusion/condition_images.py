"""Images to condition on that are made of the image itself: nothing to store.

Each is a function of images in [-1, 1], float32 `[B, H, W, C]`, and of draws from [0, 1), float32
`[B, 4]`, for those that chance has a part in, that returns float32 `[B, H, W, C']` in [-1, 1].
"""

import functools
from collections.abc import Callable

import numpy as np
from PIL import Image

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R 601-2
DRAWS = 4  # numbers that a row may draw for an image


def downsampled(images: np.ndarray, draws: np.ndarray, factor: int) -> np.ndarray:
    """The mean of blocks of factor x factor pixels, brought back to size by bicubic interpolation.

    As in super-resolution by diffusion (SR3, Saharia et al. 2021).
    """
    return _resampled(images, _down_and_up, factor)


def enlarged(images: np.ndarray, factor: int) -> np.ndarray:
    """Images `factor` times as large by bicubic interpolation, as `downsampled` ends."""
    return _resampled(images, _bicubic, factor)


def grey(images: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """The luminance, one channel: to be coloured."""
    return _luminance(images)


def masked(images: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """The image without a random rectangle, and one more channel: 1 in the rectangle, else -1."""
    _, height, width, _ = images.shape
    rows = _between(draws[:, 0], draws[:, 1], height)[:, :, None]
    columns = _between(draws[:, 2], draws[:, 3], width)[:, None, :]
    return with_hole(images, (rows & columns)[..., None])


def with_hole(images: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Images `[..., H, W, C]` as `masked` makes them, of a hole that is given: bool `[..., 1]`."""
    return np.concatenate([np.where(hole, 0, images), np.where(hole, 1, -1)], axis=-1)


def edges(images: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """How steep the luminance is (Sobel), one channel: a drawing to be filled in."""
    light = np.pad(_luminance(images)[..., 0], ((0, 0), (1, 1), (1, 1)), mode="edge")
    across = light[:, :, 2:] - light[:, :, :-2]
    down = light[:, 2:] - light[:, :-2]
    across = across[:, :-2] + 2 * across[:, 1:-1] + across[:, 2:]
    down = down[:, :, :-2] + 2 * down[:, :, 1:-1] + down[:, :, 2:]
    return np.minimum(np.hypot(across, down) / 2, 2)[..., None] - 1


CONDITION_IMAGES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "downsampled_2": functools.partial(downsampled, factor=2),
    "downsampled_4": functools.partial(downsampled, factor=4),
    "grey": grey,
    "masked": masked,
    "edges": edges,
}


def factor_of(name: str) -> int | None:
    """By what factor a row of `CONDITION_IMAGES` makes images smaller; None if it doesn't."""
    return getattr(CONDITION_IMAGES.get(name), "keywords", {}).get("factor")


def condition_image(name: str, images: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """A row of `CONDITION_IMAGES` of images: float32 `[B, H, W, C']`."""
    return CONDITION_IMAGES[name](images, draws).astype(np.float32)


def _luminance(images):
    return images if images.shape[-1] == 1 else images @ LUMINANCE[:, None]


def _between(first, second, size):
    """bool `[B, size]`: where pixels lie between two places, drawn from [0, 1)."""
    low, high = np.minimum(first, second)[:, None], np.maximum(first, second)[:, None]
    pixels = np.arange(size)
    return (low * size - 1 < pixels) & (pixels <= high * size)  # one pixel at least


def _resampled(images, matrix_of, factor):
    """Images whose rows and columns a matrix, `matrix_of(size, factor)`, makes others of."""
    rows, columns = (matrix_of(size, factor) for size in images.shape[1:3])
    return np.clip(np.einsum("ij,bjkc,lk->bilc", rows, images, columns, optimize=True), -1, 1)


@functools.cache
def _down_and_up(size, factor):
    """What `downsampled` does to a column of `size` pixels, as a matrix."""
    means = np.kron(np.eye(size // factor), np.full((1, factor), 1 / factor))
    return (_bicubic(size // factor, factor) @ means).astype(np.float32)


@functools.cache
def _bicubic(size, factor):
    """Pillow's bicubic interpolation of a column of `size` pixels, as a matrix."""
    unit = Image.fromarray(np.eye(size, dtype=np.float32))
    return np.asarray(unit.resize((size, factor * size), Image.Resampling.BICUBIC))
