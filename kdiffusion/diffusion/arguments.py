"""Labels, seeds, images and masks that a user hands in, checked against a card."""

from __future__ import annotations

import operator
import reprlib
from collections.abc import Sequence

import numpy as np

from kdiffusion.diffusion.card import DenoiserCard

# One whole number for each image: labels, seeds.
Integers = Sequence[int] | np.ndarray
# Classes by number or by name; one serves all images.
Labels = Integers | Sequence[str] | int | str


def check_labels(card: DenoiserCard, labels: Labels, count: int) -> np.ndarray:
    """`count` labels as int32 `[N]`, from numbers or names; a single label serves all."""
    checked = np.asarray(labels)
    if checked.dtype.kind == "U" and np.all(np.isin(checked, card.class_names)):
        by_name = {name: label for label, name in enumerate(card.class_names)}
        checked = np.vectorize(by_name.get, otypes=[np.int32])(checked)
    if checked.ndim == 0:
        checked = np.full(count, checked)
    if checked.ndim != 1 or len(checked) != count or count == 0:
        raise ValueError(
            "`labels` and `seeds` (or images) must be sequences of the same length, at least 1. "
            f"Received: labels of shape {checked.shape}, {count} of the other"
        )
    in_range = checked.dtype.kind in "iu" and np.all((checked >= 0) & (checked <= card.null_label))
    if not in_range:
        raise ValueError(
            f"`labels` must be integers from 0 to {card.null_label - 1}, or {card.null_label} for "
            f"no class, or names of classes: {reprlib.repr(list(card.class_names))}. "
            f"Received: labels={reprlib.repr(checked.tolist())}"
        )
    return checked.astype(np.int32)


def check_seeds(seeds: Integers | None, count: int = 1) -> list[int]:
    """The seeds as Python ints; 0, 1, ... for `count` images where they are None."""
    return [operator.index(seed) for seed in (range(count) if seeds is None else seeds)]


def check_images(card: DenoiserCard, images: np.ndarray, count: int | None = None) -> np.ndarray:
    """Images of the card's shape and range, as float64 `[N, H, W, C]`; one can serve `count`."""
    images = np.asarray(images)
    if images.ndim == 3 and count is not None:
        images = np.broadcast_to(images, (count, *images.shape))
    number = images.shape[:1] if count is None else (count,)
    if images.shape != (*number, *card.image_shape) or images.size == 0:
        raise ValueError(
            f"`images` must have the shape {(count or 'N', *card.image_shape)}. "
            f"Received: {images.shape}"
        )
    low, high = card.value_range
    slack = 1e-5 * (high - low)  # a float32 image may overshoot by its rounding
    in_range = images.dtype.kind == "f" and np.all(
        (images >= low - slack) & (images <= high + slack)
    )
    if not in_range:
        raise ValueError(
            f"`images` must be floats from {low} to {high} (`to_model_range` brings uint8 pixels "
            f"there). Received: {images.dtype} from {images.min()} to {images.max()}"
        )
    return images.astype(np.float64)


def check_mask(card: DenoiserCard, keep_mask: np.ndarray, count: int) -> np.ndarray:
    """A mask `[H, W]` or `[N, H, W]` of true and false as bool `[N, H, W, 1]`."""
    keep_mask = np.asarray(keep_mask)
    height, width, _ = card.image_shape
    if keep_mask.shape not in ((height, width), (count, height, width)):
        raise ValueError(
            f"`keep_mask` must have the shape {(height, width)} or {(count, height, width)}. "
            f"Received: {keep_mask.shape}"
        )
    if not np.all((keep_mask == 0) | (keep_mask == 1)):
        raise ValueError(
            "`keep_mask` must hold only 1 (keep) and 0 (paint anew). "
            f"Received: values from {keep_mask.min()} to {keep_mask.max()}"
        )
    return np.broadcast_to(keep_mask.astype(bool)[..., None], (count, height, width, 1))
