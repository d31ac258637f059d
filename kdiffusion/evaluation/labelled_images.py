"""What a data set must offer to be compared with: as `kdiffusion.data.ImageDataset` does."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class LabelledImages(Protocol):
    """Labelled uint8 images in two parts, one to be trained on and one that was held out."""

    @property
    def name(self) -> str: ...

    @property
    def image_shape(self) -> tuple[int, int, int]: ...

    @property
    def class_names(self) -> tuple[str, ...]: ...

    @property
    def num_classes(self) -> int: ...

    @property
    def horizontal_flip(self) -> bool:
        """Whether a mirror image is as good an example."""
        ...

    @property
    def images(self) -> np.ndarray:
        """uint8 `[N, H, W, C]`."""
        ...

    @property
    def labels(self) -> np.ndarray:
        """int32 `[N]`, indices into `class_names`."""
        ...

    @property
    def validation_images(self) -> np.ndarray: ...

    @property
    def validation_labels(self) -> np.ndarray: ...
