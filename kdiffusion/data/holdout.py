"""A stratified, seeded hold-out for data sets that come without a validation split."""

import numpy as np

from .image_dataset import ImageDataset


def split_by_holdout(
    name: str,
    images: np.ndarray,
    labels: np.ndarray,
    class_names: tuple[str, ...],
    horizontal_flip: bool,
    *,
    validation_fraction: float,
    seed: int,
) -> ImageDataset:
    """ImageDataset whose validation part is a stratified hold-out of the images.

    Args:
        name: str. The data set's name.
        images: uint8 array `[N, H, W, C]`.
        labels: int32 array `[N]`.
        class_names: tuple of str, in label order.
        horizontal_flip: bool. Whether a mirror image is as good an example.
        validation_fraction: float in (0, 1). Share of the images that is held out.
        seed: int, >= 0. Decides which images these are.
    """
    held_out = holdout_mask(labels, validation_fraction, seed)
    return ImageDataset(
        name=name,
        images=images[~held_out],
        labels=labels[~held_out],
        validation_images=images[held_out],
        validation_labels=labels[held_out],
        class_names=class_names,
        horizontal_flip=horizontal_flip,
    )


def holdout_mask(labels: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Which examples to hold out: each class's share to within one, and one overall at least.

    The total is `round(fraction * N)`; the seats that whole shares leave over go to the largest
    remainders. A class always keeps one example for training.

    Args:
        labels: int array `[N]`.
        fraction: float in (0, 1).
        seed: int, >= 0.

    Returns:
        bool array `[N]`, true for the held-out examples.

    Raises:
        ValueError: No class has an image to spare.
    """
    classes, counts = np.unique(labels, return_counts=True)
    shares = fraction * counts
    quotas = np.floor(shares).astype(int)
    seats_left = max(1, round(fraction * len(labels))) - quotas.sum()
    by_remainder = np.argsort(quotas - shares, kind="stable")
    quotas[by_remainder[quotas[by_remainder] < counts[by_remainder] - 1][:seats_left]] += 1

    random = np.random.default_rng(seed)
    mask = np.zeros(len(labels), bool)
    for label, quota in zip(classes, quotas, strict=True):
        mask[random.permutation(np.flatnonzero(labels == label))[:quota]] = True
    if not mask.any():
        raise ValueError("one class at least must have two images, so that one can be held out")
    return mask
