"""The table of data sets and the one way to load them."""

import functools
import os
from collections.abc import Callable
from pathlib import Path

from .digits import load_digits, look_up_digits
from .folder import load_folder, look_up_folder
from .image_dataset import ImageDataset
from .packed import holds_packed, load_packed, look_up_packed
from .resize import ImageSize, height_and_width
from .tfds_catalog import load_tfds, look_up_tfds

# A loader takes the name and, by keyword, the other arguments of `load_dataset`.
DATASETS: dict[str, Callable[..., ImageDataset]] = {
    "digits": load_digits,
    "cifar10": load_tfds,
    "cifar100": load_tfds,
    "stl10": load_tfds,
    "folder": load_folder,
    "packed": load_packed,
}

# What can be said of those, or refused, before TensorFlow is imported. A row may be missing.
LOOK_UPS: dict[str, Callable[..., tuple[int | None, int]]] = {
    "digits": look_up_digits,
    "cifar10": look_up_tfds,
    "cifar100": look_up_tfds,
    "stl10": look_up_tfds,
    "folder": look_up_folder,
    "packed": look_up_packed,
}


def look_up_dataset(
    name: str, directory: str | os.PathLike | None = None
) -> tuple[int | None, int | None]:
    """What is known of a data set in a second, without its images and without TensorFlow.

    Args:
        name: str, and `directory`: path: as of `load_dataset`.

    Returns:
        (images, classes), each None where it is not known yet.

    Raises:
        ValueError: There is no such data set, or its description is of one that can't be used.
        FileNotFoundError: A TFDS data set is not prepared, and there is no network.
    """
    if name in DATASETS:
        look_up = LOOK_UPS.get(name)
        return look_up(name, directory=directory) if look_up else (None, None)
    return look_up_tfds(name, directory=directory, other_names=DATASETS)


def name_and_directory(
    data: str, directory: str | os.PathLike | None = None
) -> tuple[str, str | os.PathLike | None]:
    """What `load_dataset` takes, of what a user calls the data: a name, or a folder of images.

    Args:
        data: str. A key of `DATASETS` is that data set, also where a folder is called the same:
            ./digits is the folder. Any other path of a folder is one of images; all else a name.
        directory: path. Where a data set of that name lies.

    Returns:
        (name, directory).

    Raises:
        ValueError: a folder, and another directory as well; a path at which no folder is.
    """
    if data in DATASETS or not Path(data).is_dir():
        if Path(data).is_absolute() or data.startswith((".", "~")):  # names of TFDS don't
            raise ValueError(
                f"`data` must be the name of a data set, or a folder. Received: {data}, where no "
                "folder is"
            )
        return data, directory
    if directory is not None:
        raise ValueError(
            f"`directory` must not be given where the data is a folder of images, {data}. "
            f"Received: directory={str(directory)!r}"
        )
    return ("packed" if holds_packed(data) else "folder"), data


def check_preparation(image_size: ImageSize | None, validation_fraction: float, seed: int) -> None:
    """Refuses what `load_dataset` and `pack` can't prepare images by, with a ValueError."""
    if image_size is not None:
        height_and_width(image_size)
    if not 0 < validation_fraction < 1:
        raise ValueError(
            "`validation_fraction` must be above 0 and below 1. "
            f"Received: validation_fraction={validation_fraction}"
        )
    if seed < 0:
        raise ValueError(f"`seed` must not be negative. Received: seed={seed}")


def load_dataset(
    name: str,
    *,
    directory: str | os.PathLike | None = None,
    image_size: ImageSize | None = None,
    validation_fraction: float = 0.1,
    seed: int = 0,
) -> ImageDataset:
    """Load a data set by name, every image brought to one size; in memory, but for `packed`.

    Args:
        name: str. A key of `DATASETS`, or any TFDS name whose examples have an image and a label.
        directory: path. For `folder`, the folder that holds one sub-folder for each class; for
            `packed`, the folder that `pack` wrote; for a TFDS name, its data directory, where
            `None` means `TFDS_DATA_DIR` or TFDS's own.
        image_size: int or (height, width) in pixels; other images are cropped around their centre
            to these proportions and resampled. Defaults to `None`: the images' own size.
        validation_fraction: float in (0, 1). Share of each class to hold out, where the data set
            has no split of its own for that. Defaults to `0.1`.
        seed: int, >= 0. Decides which images are held out. Defaults to `0`.

    Raises:
        ValueError: An argument is out of its range, there is no such data set, or its content
            cannot be used; the message says which.
        FileNotFoundError: A TFDS data set is not prepared and could not be downloaded.
    """
    if not isinstance(name, str):
        raise ValueError(f"`name` must be a string. Received: name={name!r}")
    check_preparation(image_size, validation_fraction, seed)
    # A name that is not in the table may be one of TFDS's hundreds.
    loader = DATASETS.get(name, functools.partial(load_tfds, other_names=DATASETS))
    return loader(
        name,
        directory=directory,
        image_size=image_size,
        validation_fraction=validation_fraction,
        seed=seed,
    )
