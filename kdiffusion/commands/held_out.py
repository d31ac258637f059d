"""A data set split as a model's training split it: what was held out then is held out now."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kdiffusion.data import load_dataset

if TYPE_CHECKING:
    from kdiffusion.data.image_dataset import ImageDataset
    from kdiffusion.diffusion.card import DenoiserCard


def load_as_split(
    card: DenoiserCard, name: str, directory: str | os.PathLike | None = None
) -> tuple[ImageDataset, str]:
    """Loads a data set for a model, in its image size and split as its card says.

    Args:
        card: DenoiserCard.
        name: str. The data set's name.
        directory: where it lies, as for `load_dataset`.

    Returns:
        (ImageDataset, str): the str says whether its validation part was held out of the training.
    """
    split = card.data_split
    options = {"directory": directory, "image_size": card.image_shape[:2]}
    if split is not None:
        options |= {"validation_fraction": split.validation_fraction, "seed": split.seed}
    if name == card.dataset == "folder" and directory is None:
        raise ValueError(
            "`data` must be the folder of images, or `directory` be given: the file was trained on "
            "a folder, and doesn't say which. Received: neither"
        )
    dataset = load_dataset(name, **options)
    origin = _origin(split, dataset.content_hash(), name)
    if card.parent is not None:
        origin += (
            f" The weights that the training began with ({card.parent.name}) may have been trained "
            "on them."
        )
    return dataset, origin


def _origin(split, sha256, name):
    if split is None:
        return (
            "Not known: whether the model was trained on these images. The file does not say how "
            "its data was split (an export by this version does)."
        )
    how = f"{name}, split by seed {split.seed} and fraction {split.validation_fraction:g}"
    if name == "packed":  # not by what the run was told
        how = "packed, split when it was packed"
    if split.sha256 is None:
        return f"Held out, if the data is still the same ({how}): the file has no hash of it."
    if split.sha256 != sha256:
        return (
            f"Not known: whether the model was trained on these images. {name} is not the data "
            "that it was trained on: the SHA-256 differs."
        )
    return f"Held out of the training: {how}, SHA-256 as in training."
