"""Which images a grid has, one row per class, and how a grid looks beside given images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kdiffusion.diffusion.sampling import sample
from kdiffusion.images import image_grid, to_uint8

from .labels import label_names

if TYPE_CHECKING:
    from PIL import Image

    from kdiffusion.diffusion.denoiser import Denoiser


def draw_by_class(
    denoiser: Denoiser, labels: Sequence[int], per_label: int, seed: int, **options: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Samples `per_label` images of each label; image i is that of seed `seed + i`.

    Args:
        denoiser: a Denoiser.
        labels: ints `[L]`.
        per_label: int.
        seed: int. Of the first image.
        **options: those of `kdiffusion.sample`.

    Returns:
        (uint8 `[N, H, W, C]`, int32 `[N]` labels, uint64 `[N]` seeds), N = L * per_label, the
        images of one label after another.
    """
    label_of_image, seeds = one_label_after_another(labels, per_label, seed)
    images = sample(denoiser, label_of_image, seeds, **options)
    return to_uint8(images), label_of_image, np.array(seeds, np.uint64)


def one_label_after_another(
    labels: Sequence[int], per_label: int, seed: int
) -> tuple[np.ndarray, range]:
    """The label, int32 `[N]`, and the seed, a Python int, of each image of a grid by label."""
    label_of_image = np.repeat(np.asarray(labels, np.int32), per_label)
    return label_of_image, range(seed, seed + len(label_of_image))


def grid_beside(
    given: Sequence[np.ndarray],
    images: np.ndarray,
    labels: Sequence[int],
    class_names: Sequence[str],
    scale: int | None = None,
) -> Image.Image:
    """A grid of one row per label: the images that were given, then those that were sampled.

    Args:
        given: sequence of uint8 `[H, W, C]`, which stand first in every row, before a gap.
        images: uint8 `[N, H, W, C]`, those of one label after another.
        labels: ints `[L]`, L a divisor of N.
        class_names: strings.
        scale: int or None, as for `image_grid`.
    """
    rows = images.reshape(len(labels), -1, *images.shape[1:])
    given = [*given, np.full_like(images[0], 255)]
    before = np.broadcast_to(given, (len(labels), *np.shape(given)))
    cells = np.concatenate([before, rows], axis=1)  # [L, columns, H, W, C]
    return image_grid(
        cells.reshape(-1, *images.shape[1:]),
        cells.shape[1],
        row_labels=label_names(labels, class_names),
        scale=scale,
    )
