"""A packed data set: a folder of plain arrays that training reads without holding them in memory.

Images are uint8 `[N, H, W, C]`, labels int32 `[N]`; `packed.json` says what else is known of them.
"""

import json
import os
from pathlib import Path

import numpy as np

from kdiffusion.data import ImageDataset
from kdiffusion.data.loading import MARKS
from kdiffusion.images import ImageSize

(DESCRIPTION,) = MARKS
PARTS = ("train", "validation")
IMAGES = {part: f"{part}_images.npy" for part in PARTS}
LABELS = {part: f"{part}_labels.npy" for part in PARTS}


def load(
    name: str, directory: str | os.PathLike | None, image_size: ImageSize | None = None
) -> ImageDataset:
    """Opens a folder that `pack` wrote. Its images were resized and split when they were packed.

    Args:
        name: str. Becomes the data set's name.
        directory: path. The folder.
        image_size: int or (height, width). None, or the size of the packed images.

    Raises:
        ValueError: no folder is given, or the images have another size.
    """
    if directory is None:
        raise ValueError("`directory` must be a folder that `python -m kdiffusion pack` wrote")
    folder = Path(directory)
    description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    images = [np.load(folder / IMAGES[part], mmap_mode="r") for part in PARTS]
    labels = [np.load(folder / LABELS[part]) for part in PARTS]
    height, width = images[0].shape[1:3]
    if image_size is not None and tuple(np.broadcast_to(image_size, 2)) != (height, width):
        raise ValueError(
            f"`image_size` must be that of the packed images, {height}x{width}; pack them again "
            f"for another. Received: image_size={image_size}"
        )
    return ImageDataset(
        name, images[0], labels[0], images[1], labels[1], tuple(description["class_names"]),
        description["horizontal_flip"], description.get("content_hash"),
    )  # fmt: skip
