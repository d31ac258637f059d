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
    dataset = load_dataset(name, **options)
    return dataset, _origin(card, dataset.content_hash(), name)


def _origin(card, sha256, name):
    split = card.data_split
    if split is None:
        said = "Not known: whether these images were held out of the training."
    elif split.sha256 is None:
        said = "Held out of the training, if the data are the same still: the file has no hash."
    elif split.sha256 != sha256:
        said = f"Not known: {name} is not the data that the model was trained on (its SHA-256)."
    else:
        said = f"Held out of the training: {name}, SHA-256 as in training."
    if card.parent is not None:
        said += f" The weights to start from ({card.parent.name}) may have been trained on them."
    return said
