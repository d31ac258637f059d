"""A packed data set: a folder that training reads without holding its images in memory.

`python -m kdiffusion pack` writes one (`packing.py`).
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .image_dataset import ImageDataset
from .record_file import RecordFile
from .resize import ImageSize, height_and_width

DESCRIPTION = "packed.json"
FORMAT = 1
TRAIN, VALIDATION = "train", "validation"
IMAGES = {part: f"{part}_images.tfrecord" for part in (TRAIN, VALIDATION)}
LABELS = {part: f"{part}_labels.npy" for part in (TRAIN, VALIDATION)}
FILES = (*IMAGES.values(), *LABELS.values(), DESCRIPTION)
PLAN, DONE = "plan.json", "done"  # what is left of packing that was killed at its very end


@dataclass(frozen=True, eq=False)
class PackedDataset(ImageDataset):
    """An `ImageDataset` whose images stay in their files, as `RecordFile`.

    Args:
        packed_hash: str. What `content_hash` gave when it was packed.
    """

    packed_hash: str = ""

    def content_hash(self) -> str:
        """As of `ImageDataset`: computed when it was packed, and not again."""
        return self.packed_hash


def load_packed(
    name: str,
    *,
    directory: str | None,
    image_size: ImageSize | None,
    validation_fraction: float,
    seed: int,
) -> PackedDataset:
    """Opens a folder that `pack` wrote. Its images have their size, and are divided already.

    Args:
        name: str. Becomes the data set's name.
        directory: str or path. The folder.
        image_size: int or (height, width). None, or the size that they were packed in.
        validation_fraction, seed: not used: they were given to `pack`.

    Raises:
        ValueError: no packed data set, a damaged one, or one of another size.
    """
    description = read_description(name, directory)
    folder = Path(directory or "")  # `read_description` refuses None
    shape = tuple(description["image_shape"])
    if image_size is not None and height_and_width(image_size) != shape[:2]:
        raise ValueError(
            f"`image_size` must be None, or pack {directory} again: its images are of "
            f"{shape[0]}x{shape[1]}. Received: image_size={image_size}"
        )
    counts = description["images"]
    images: dict[str, Any] = {
        part: RecordFile(folder / file, (counts[part], *shape)) for part, file in IMAGES.items()
    }
    labels = {part: read_labels(folder / file, counts[part]) for part, file in LABELS.items()}
    return PackedDataset(
        name=name,
        images=images[TRAIN],
        labels=labels[TRAIN],
        validation_images=images[VALIDATION],
        validation_labels=labels[VALIDATION],
        class_names=tuple(description["class_names"]),
        horizontal_flip=description["horizontal_flip"],
        packed_hash=description["content_hash"],
    )


def read_labels(path: Path, count: int | None = None) -> np.ndarray:
    """The int32 labels `[count]` of one part; any count for None.

    Raises:
        ValueError: no such array.
    """
    try:
        with path.open("rb") as file:
            labels = np.lib.format.read_array(file, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as an array: {error}") from error
    if count is not None and labels.shape != (count,):
        raise ValueError(f"{path} must hold {count} labels. Received: an array {labels.shape}")
    return labels


def look_up_packed(name: str, *, directory: str | None) -> tuple[int, int]:
    """(training images, classes).

    Raises:
        ValueError: as `load_packed`, but for damage to the arrays.
    """
    description = read_description(name, directory)
    return description["images"][TRAIN], len(description["class_names"])


def read_description(name: str, directory: str | None) -> dict:
    """What `packed.json` says.

    Raises:
        ValueError: no folder was named, it holds no packed data set, or one of a newer format.
    """
    if directory is None:
        raise ValueError(
            f"`directory` must be given for {name!r}: a folder that `python -m kdiffusion pack` "
            "wrote"
        )
    path = Path(directory, DESCRIPTION)
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        if description["format"] > FORMAT:
            raise ValueError(f"its format is {description['format']}, of a newer kdiffusion")
        counts, shape = description["images"], description["image_shape"]
        whole = [counts[TRAIN], counts[VALIDATION], *shape]
        if not all(isinstance(number, int) and number > 0 for number in whole) or len(shape) != 3:
            raise ValueError(f"it must hold whole numbers above 0. Received: {whole}")
        names = description["class_names"]
        if not all(isinstance(class_name, str) for class_name in names):
            raise ValueError(f"class names must be texts. Received: {names}")
        if not isinstance(description["horizontal_flip"], bool):
            raise ValueError("`horizontal_flip` must be true or false")
        if not isinstance(description["content_hash"], str):
            raise ValueError("`content_hash` must be a text")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"`directory` must be a folder that `python -m kdiffusion pack` wrote: {path}: "
            f"{error}. Received: directory={str(directory)!r}"
        ) from error
    return description


def holds_packed(path: str | os.PathLike) -> str | None:
    """For `kdiffusion.files`: what a packed folder may hold, or None where it is none."""
    if not Path(path, DESCRIPTION).is_file():
        return None
    return "|".join(file.replace(".", r"\.") for file in (*FILES, PLAN, DONE))
