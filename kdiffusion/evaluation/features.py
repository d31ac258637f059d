"""Features of images that need no downloaded network: what a Fréchet distance here is taken on.

They see less than an Inception network does: PIXELS knows layout and colour, not texture;
RANDOM_CONV knows texture and contrast, not what is in the image. A distance on them is no FID.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from kdiffusion.images import to_model_range

BATCH_SIZE = 256  # images at a time

# uint8 images [N, H, W, C] ► float64 features [N, D]
Features = Callable[[np.ndarray], np.ndarray]


def fit_pixels(
    images: np.ndarray, dimensions: int = 32, side: int = 8
) -> Callable[[np.ndarray], np.ndarray]:
    """Principal components of small images: layout and colour (Turk & Pentland 1991).

    Images are averaged over blocks down to at most `side` pixels a side, in -1 .. 1, and projected
    on the directions in which the given ones vary most. A distance is in squared units of pixels.

    Args:
        images: uint8 array `[N, H, W, C]` of real images, more than `dimensions`.
        dimensions: int. Components kept; fewer where there are fewer pixels. Defaults to `32`.
        side: int. Pixels. Defaults to `8`.

    Returns:
        A function of uint8 images `[N, H, W, C]` that gives float64 `[N, dimensions]`.
    """
    _check_images(images)
    small = _in_batches(lambda batch: _averaged(batch, side).reshape(len(batch), -1), images)
    mean = small.mean(axis=0)
    _, vectors = np.linalg.eigh(np.cov(small, rowvar=False))
    directions = vectors[:, ::-1][:, :dimensions]  # [pixels, dimensions], most variance first

    def project(batch):
        return (_averaged(batch, side).reshape(len(batch), -1) - mean) @ directions

    return _for_shape(project, images.shape[1:])


def fit_random_conv(
    images: np.ndarray, widths: Sequence[int] = (16, 32), seed: int = 0
) -> Callable[[np.ndarray], np.ndarray]:
    """Responses of random filters: texture and contrast (Ustyuzhaninov et al. 2017).

    For each width: 3x3 filters drawn from N(0, 2 / fan-in), a ReLU, and the mean and the standard
    deviation of each filter over the image; then images are halved by averaging. Last, the
    means of the four quarters. All are scaled by one number, so that their variances over the given
    images sum to 1. (Not each by its own: a filter that hardly ever responds would count most.)

    Args:
        images: uint8 array `[N, H, W, C]` of real images, 8 pixels a side at least.
        widths: ints. Filters in each layer. Defaults to `(16, 32)`.
        seed: int. Of the filters. Defaults to `0`.

    Returns:
        A function of uint8 images `[N, H, W, C]` that gives float64 `[N, D]`,
        D = 2 sum(widths) + 4 widths[-1].
    """
    _check_images(images)
    if min(images.shape[1:3]) < 2 ** (len(widths) + 1):
        raise ValueError(
            f"`images` must have {2 ** (len(widths) + 1)} pixels a side at least. "
            f"Received: images of shape {images.shape}"
        )
    rng = np.random.default_rng(seed)
    kernels, channels = [], images.shape[-1]
    for width in widths:
        fan_in = 9 * channels
        kernels.append(rng.normal(0.0, np.sqrt(2.0 / fan_in), (fan_in, width)))
        channels = width

    def respond(batch):
        x, features = to_model_range(batch), []
        for kernel in kernels:
            x = np.maximum(_patches(x) @ kernel, 0.0)  # [B, H, W, width]
            features += [x.mean(axis=(1, 2)), x.std(axis=(1, 2))]
            x = _block_means(x, 2, 2)
        height, width = x.shape[1] // 2, x.shape[2] // 2
        quarters = [
            part.mean(axis=(1, 2))
            for rows in (x[:, :height], x[:, height:])
            for part in (rows[:, :, :width], rows[:, :, width:])
        ]
        return np.concatenate([*features, *quarters], axis=1)

    responses = _in_batches(respond, images)
    mean, scale = responses.mean(axis=0), np.sqrt(responses.var(axis=0).sum())
    return _for_shape(lambda batch: (respond(batch) - mean) / scale, images.shape[1:])


# Each takes uint8 images [N, H, W, C], real ones, and gives a Features.
FEATURES: dict[str, Callable[..., Features]] = {
    "pixels": fit_pixels,
    "random_conv": fit_random_conv,
}


def _check_images(images):
    if images.dtype != np.uint8 or images.ndim != 4 or len(images) < 2:
        raise ValueError(
            "`images` must be uint8 [N, H, W, C], N at least 2. "
            f"Received: {images.dtype} of shape {images.shape}"
        )


def _for_shape(function, image_shape):
    """`function`, batch by batch, of images of that shape only."""

    def features(images):
        if images.dtype != np.uint8 or images.shape[1:] != image_shape:
            raise ValueError(
                f"`images` must be uint8 [N, {', '.join(map(str, image_shape))}], as those that "
                f"the features were fitted to. Received: {images.dtype} of shape {images.shape}"
            )
        return _in_batches(function, images)

    return features


def _in_batches(function, images):
    firsts = range(0, len(images), BATCH_SIZE)
    return np.concatenate([function(images[first : first + BATCH_SIZE]) for first in firsts])


def _averaged(images, side):
    """float64 `[B, h, w, C]` in -1 .. 1, h and w at most `side`; what does not divide is cut."""
    height, width = (-(-size // side) for size in images.shape[1:3])
    return to_model_range(_block_means(images.astype(np.float64), height, width))


def _block_means(x, height, width):
    """Means over blocks of that many pixels; rows and columns left over are cut off."""
    rows, columns = x.shape[1] // height, x.shape[2] // width
    x = x[:, : rows * height, : columns * width]
    return x.reshape(len(x), rows, height, columns, width, -1).mean(axis=(2, 4))


def _patches(x):
    """The 3x3 surroundings of every pixel, the edge repeated: `[B, H, W, 9 C]`."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    return windows.reshape(*x.shape[:3], -1)
