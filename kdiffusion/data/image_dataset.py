"""A data set in memory: uint8 images, their conditions, and which images are held out."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from kdiffusion.condition_images import DRAWS, condition_image
from kdiffusion.diffusion.card import ConditionImage, Number
from kdiffusion.images import to_model_range


@dataclass(frozen=True, eq=False)
class ImageDataset:
    """Labelled uint8 images, split into a training and a validation part.

    Args:
        name: str. The name it was loaded by.
        images: uint8 array `[N, H, W, C]`, C = 1 (grey) or 3 (RGB). Of a `np.memmap`, training
            reads from the file what it needs.
        labels: int32 array `[N]`, indices into `class_names`.
        validation_images: uint8 array `[M, H, W, C]`.
        validation_labels: int32 array `[M]`.
        class_names: tuple of str, in label order.
        horizontal_flip: bool. Whether a mirror image is as good an example (a cat, not a digit).
        split: dict of `seed` and `validation_fraction` of images that were split before.
        conditions: dict of what there is beside labels: `numbers`, float32 `[N, K]`, and `image`,
            uint8 `[N, H, W, C']`.
        validation_conditions: dict, as `conditions`, of the validation images.
        number_names: tuple of str: what the K numbers are.
        condition: str or None, a key of `CONDITION_IMAGES`: a condition that is made of the image.
        known_hash: str. What `content_hash` gives, where it needn't be computed again.
    """

    name: str
    images: np.ndarray = field(repr=False)
    labels: np.ndarray = field(repr=False)
    validation_images: np.ndarray = field(repr=False)
    validation_labels: np.ndarray = field(repr=False)
    class_names: tuple[str, ...]
    horizontal_flip: bool
    known_hash: str | None = None
    split: dict | None = None
    conditions: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)
    validation_conditions: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)
    number_names: tuple[str, ...] = ()
    condition: str | None = None

    def __post_init__(self):
        for part, images, labels in (
            ("", self.images, self.labels),
            ("validation_", self.validation_images, self.validation_labels),
        ):
            if images.dtype != np.uint8 or images.shape[1:] != self.image_shape:
                raise ValueError(
                    f"`{part}images` must be uint8 [N, H, W, C], of one shape in both parts. "
                    f"Received: {images.dtype} {images.shape}"
                )
            outside = labels[(labels < 0) | (labels >= self.num_classes)]
            if len(labels) != len(images) or len(outside) or not len(labels):
                raise ValueError(
                    f"`{part}labels` must be numbers in [0, {self.num_classes}), one for each "
                    f"image and at least one. Received: {len(labels)} for {len(images)} images; "
                    f"outside: {outside[:5].tolist()}"
                )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of every image."""
        return tuple(self.images.shape[1:])

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def numbers(self) -> tuple[Number, ...] | None:
        """What a card says of the numbers; None without them."""
        if not self.number_names:
            return None
        return tuple(
            Number(
                name=name, mean=float(values.mean()), std=float(values.std()) or 1.0,
                low=float(values.min()), high=float(values.max()),
            )
            for name, values in zip(self.number_names, self.conditions["numbers"].T, strict=True)
        )  # fmt: skip

    @property
    def condition_image(self) -> ConditionImage | None:
        """What a card says of the image that an image is conditioned on; None without one."""
        if self.condition is None and "image" not in self.conditions:
            return None
        channels = self.asked([0])["image"].shape[-1]
        return ConditionImage(channels=channels, meaning=self.condition or "an image")

    def asked(self, rows: Any) -> dict[str, Any]:
        """The conditions of some validation images, as `kdiffusion.sample` takes them."""
        asked: dict[str, Any] = {k: v[rows] for k, v in self.validation_conditions.items()}
        if "numbers" in asked:
            asked["numbers"] = dict(zip(self.number_names, asked["numbers"].T, strict=True))
        if self.condition is not None:
            draws = np.random.default_rng(0).random((len(rows), DRAWS))
            images = to_model_range(self.validation_images[rows])
            asked["image"] = condition_image(self.condition, images, draws)
        return {"label": self.validation_labels[rows], **asked}

    def content_hash(self) -> str:
        """SHA-256 of all images and labels and the classes' names, in hexadecimal digits."""
        if self.known_hash is not None:
            return self.known_hash
        digest = hashlib.sha256(repr((self.class_names, self.image_shape)).encode())
        parts = [self.images, self.labels, self.validation_images, self.validation_labels]
        parts += [*self.conditions.values(), *self.validation_conditions.values()]
        for part in parts:
            digest.update(f"{len(part)}\0".encode())
            digest.update(np.ascontiguousarray(part).data)
        return digest.hexdigest()

    def steps_per_epoch(self, batch_size: int) -> int:
        """Whole training batches in one pass over the data; the remainder waits for another epoch.

        Args:
            batch_size: int. Examples in a global batch, from 1 to the number of training images.
        """
        if batch_size > len(self.images):
            raise ValueError(
                f"`batch_size` must be at most {len(self.images)}, the training images of "
                f"{self.name!r}. Received: batch_size={batch_size}"
            )
        return len(self.images) // batch_size


class Images(NamedTuple):
    """Labelled images that are still to be split.

    Args:
        images, labels, class_names, horizontal_flip, conditions, number_names: as in
            `ImageDataset`, of both parts.
    """

    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    horizontal_flip: bool = False
    conditions: Mapping[str, np.ndarray] = {}
    number_names: tuple[str, ...] = ()

    def split(self, name: str, validation_fraction: float, seed: int) -> ImageDataset:
        """ImageDataset whose validation part is a stratified hold-out: see `holdout_mask`."""
        held_out = holdout_mask(self.labels, validation_fraction, seed)
        return ImageDataset(
            name, self.images[~held_out], self.labels[~held_out], self.images[held_out],
            self.labels[held_out], self.class_names, self.horizontal_flip,
            conditions={name: each[~held_out] for name, each in self.conditions.items()},
            validation_conditions={name: each[held_out] for name, each in self.conditions.items()},
            number_names=self.number_names,
        )  # fmt: skip


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
    return mask
