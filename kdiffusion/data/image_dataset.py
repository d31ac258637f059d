"""ImageDataset: labelled images in memory, as every loader of this room returns them."""

import hashlib
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class ImageDataset:
    """Labelled uint8 images, split into a training and a validation part.

    Args:
        name: str. The name it was loaded by.
        images: uint8 array `[N, H, W, C]`, C = 1 (grey) or 3 (RGB).
        labels: int32 array `[N]`, indices into `class_names`.
        validation_images: uint8 array `[M, H, W, C]`.
        validation_labels: int32 array `[M]`.
        class_names: tuple of str, in label order.
        horizontal_flip: bool. Whether a mirror image is as good an example (a cat, not a digit).
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    validation_images: np.ndarray
    validation_labels: np.ndarray
    class_names: tuple[str, ...]
    horizontal_flip: bool

    def __post_init__(self):
        if not self.class_names or len(set(self.class_names)) != len(self.class_names):
            raise ValueError(
                "`class_names` must be one or more different names. "
                f"Received: class_names={self.class_names}"
            )
        self._check_part("images", self.images, "labels", self.labels)
        self._check_part(
            "validation_images", self.validation_images, "validation_labels", self.validation_labels
        )
        if self.images.shape[1:] != self.validation_images.shape[1:]:
            raise ValueError(
                "`validation_images` must have the shape of `images`. Received: "
                f"images {self.images.shape[1:]}, validation_images "
                f"{self.validation_images.shape[1:]}"
            )

    def _check_part(self, images_name, images, labels_name, labels):
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3):
            raise ValueError(
                f"`{images_name}` must be uint8 [N, H, W, C] with 1 or 3 channels. "
                f"Received: dtype={images.dtype}, shape={images.shape}"
            )
        if labels.dtype != np.int32 or labels.shape != images.shape[:1] or not len(labels):
            raise ValueError(
                f"`{labels_name}` must be int32 [N] with one label for each of one or more images. "
                f"Received: dtype={labels.dtype}, shape={labels.shape}, {len(images)} images"
            )
        if labels.min() < 0 or labels.max() >= len(self.class_names):
            raise ValueError(
                f"`{labels_name}` must lie in [0, {len(self.class_names)}), one number for each "
                f"class. Received: labels from {labels.min()} to {labels.max()}"
            )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of every image."""
        return tuple(self.images.shape[1:])

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    def content_hash(self) -> str:
        """SHA-256 of all images and labels and the classes' names, in hexadecimal digits."""
        digest = hashlib.sha256(repr((self.class_names, self.image_shape)).encode())
        for part in (self.images, self.labels, self.validation_images, self.validation_labels):
            digest.update(f"{len(part)}\0".encode())
            digest.update(np.ascontiguousarray(part).data)
        return digest.hexdigest()

    def steps_per_epoch(self, batch_size: int) -> int:
        """Whole training batches in one pass over the data; the remainder waits for another epoch.

        Args:
            batch_size: int. Examples in a global batch, from 1 to the number of training images.

        Raises:
            ValueError: `batch_size` is not positive or exceeds the number of training images.
        """
        if not 1 <= batch_size <= len(self.images):
            raise ValueError(
                f"`batch_size` must be between 1 and the {len(self.images)} training images of "
                f"{self.name!r}. Received: batch_size={batch_size}"
            )
        return len(self.images) // batch_size
