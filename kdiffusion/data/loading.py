"""The table of data sets, the one way to load them, and how to load one as a model saw it."""

import dataclasses
import importlib
import os
from collections.abc import Sequence
from pathlib import Path

from kdiffusion.condition_images import CONDITION_IMAGES
from kdiffusion.diffusion.card import DenoiserCard
from kdiffusion.images import ImageSize

from .image_dataset import ImageDataset

FOLDER = "kdiffusion.data.folder"
IDX = "kdiffusion.data.idx"
TFDS = "kdiffusion.data.tfds"  # where a name that isn't in the table is looked for

# Name: the module whose `load(name, directory, image_size)` gives an `ImageDataset`, or `Images`,
# which are split here. It is imported when the data set is loaded.
DATASETS = {
    "digits": "kdiffusion.data.digits",
    "cifar10": TFDS,
    "cifar100": TFDS,
    "stl10": TFDS,
    "fashion_mnist": IDX,
    "mnist": IDX,
    "folder": FOLDER,
    "packed": "kdiffusion.parts.packing.pack",
}
# What a folder is, by a file in it: a row of `DATASETS`. Any other holds images.
MARKS = {"packed.json": "packed"}


def load_dataset(
    name: str,
    *,
    directory: str | os.PathLike | None = None,
    image_size: ImageSize | None = None,
    validation_fraction: float = 0.1,
    seed: int = 0,
    numbers: Sequence[str] = (),
    condition_directory: str | os.PathLike | None = None,
    condition: str | None = None,
) -> ImageDataset:
    """Loads a data set by name, with all images of one size.

    Args:
        name: str. A key of `DATASETS`, or any TFDS name whose examples have an image and a label.
        directory: path. For `folder`, the folder that holds one sub-folder for each class; for
            `packed`, the folder that `pack` wrote; for `fashion_mnist` and `mnist`, that of
            their four files; for a TFDS name, its data directory, where
            `None` means `TFDS_DATA_DIR` or TFDS's own.
        image_size: int or (height, width) in pixels; other images are cropped around their centre
            to these proportions and resampled. Defaults to `None`: the images' own size.
        validation_fraction: float in (0, 1). Share of each class to hold out, where the data set
            has no split of its own for that. Defaults to `0.1`.
        seed: int, >= 0. Decides which images are held out. Defaults to `0`.
        numbers: names of columns of the `metadata.csv` of a `folder`, to condition on.
        condition_directory: path. Of a `folder`, another with images of the same names, to
            condition on.
        condition: str, a key of `CONDITION_IMAGES`: an image to condition on, made of each image.

    Raises:
        ValueError: There is no such data set, or its content can't be used.
    """
    module = importlib.import_module(DATASETS.get(name, TFDS))
    beside = {"numbers": tuple(numbers), "condition_directory": condition_directory}
    beside = {option: value for option, value in beside.items() if value}
    if beside and DATASETS.get(name) != FOLDER:
        raise ValueError(f"{[*beside]} must be left out for {name!r}: only a folder has them")
    found = module.load(name, directory, image_size, **beside)
    if not isinstance(found, ImageDataset):
        found = found.split(name, validation_fraction, seed)
    return dataclasses.replace(found, condition=condition)


def name_and_directory(
    data: str, directory: str | os.PathLike | None = None
) -> tuple[str, str | os.PathLike | None]:
    """The arguments of `load_dataset` for what a user calls the data: a name or a folder.

    Args:
        data: str. A key of `DATASETS` is that data set, also where a folder has the same name:
            `./digits` is the folder.
        directory: path. Where a data set of that name lies.

    Returns:
        (name, directory).
    """
    if data in DATASETS or not Path(data).is_dir():
        return data, directory
    kinds = [name for mark, name in MARKS.items() if Path(data, mark).is_file()]
    return (kinds or ["folder"])[0], data


def load_as_split(
    card: DenoiserCard,
    data: str | None = None,
    directory: str | os.PathLike | None = None,
    condition_directory: str | os.PathLike | None = None,
) -> tuple[ImageDataset, str]:
    """Loads a data set for a model, in its image size and split as its card says.

    Args:
        card: DenoiserCard.
        data, directory: as for `name_and_directory`; by default, what the model was trained on.
        condition_directory: as for `load_dataset`.

    Returns:
        (ImageDataset, str): the str says whether its validation part was held out of the training.
    """
    # What the card names is never a path: the file says it, not the user.
    name = card.dataset
    if data is not None:
        name, directory = name_and_directory(data, directory)
    elif name == "folder" and directory is None:
        raise ValueError("`data` must be the folder of images that the model was trained on")
    split = card.data_split
    options = {
        "directory": directory, "image_size": card.image_shape[:2],
        "condition_directory": condition_directory,
    }  # fmt: skip
    if split is not None:
        options |= {"validation_fraction": split.validation_fraction, "seed": split.seed}
    if card.numbers is not None:
        options["numbers"] = [number.name for number in card.numbers]
    if card.image is not None and card.image.meaning in CONDITION_IMAGES:
        options["condition"] = card.image.meaning
    dataset = load_dataset(name, **options)
    return dataset, _origin(card, dataset.content_hash(), name)


def _origin(card, sha256, name):
    split = card.data_split
    if split is None or split.sha256 is None:
        said = "Not known: whether these images were held out of the training."
    elif split.sha256 != sha256:
        said = f"Not known: {name} is not the data that the model was trained on (its SHA-256)."
    else:
        said = f"Held out of the training: {name}, SHA-256 as in training."
    if card.parent is not None:
        said += f" The weights to start from ({card.parent.name}) may have been trained on them."
    return said
