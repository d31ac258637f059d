"""A folder of images with a sub-folder for each class, read with Pillow."""

import os
from pathlib import Path

import numpy as np

from kdiffusion.images import read_image

from .holdout import split_by_holdout
from .image_dataset import ImageDataset
from .resize import ImageSize, fit_image


def load_folder(
    name: str,
    *,
    directory: str | os.PathLike | None,
    image_size: ImageSize | None,
    validation_fraction: float,
    seed: int,
) -> ImageDataset:
    """Load `directory/CLASS/IMAGE`, classes and images in alphabetical order.

    The images are grey if all are, else RGB; transparent ones are laid on white. Hidden files
    (`.name`) are passed over, and so are files beside the class folders; all else in a class
    folder must be an image. Images are not mirrored in training unless that is asked for.

    Args:
        name: str. Becomes the data set's name.
        directory: str or path. The folder that holds one sub-folder for each class.
        image_size: int or (height, width) in pixels, by centre crop and resampling. `None` means
            that all images must have one size.
        validation_fraction: float in (0, 1). Share that is held out.
        seed: int, >= 0. Decides which images are held out.

    Raises:
        ValueError: There are no class folders, one is empty, or a file (named) is not readable
            as an image, not of 8 bits, or of another size than the first.
    """
    files = list_images(check_directory(name, directory))  # {class name: [path, ...]}
    paths = [path for inside in files.values() for path in inside]
    images = []
    for path in paths:
        pixels = read_image(path)
        if image_size is not None:  # before the next is read: photographs are large
            pixels = fit_image(pixels, image_size)
        if images and pixels.shape[:2] != images[0].shape[:2]:
            raise ValueError(
                f"{path} is {_size(pixels)} where {paths[0]} is {_size(images[0])}: images must "
                "be of one size unless `image_size` is set. Received: image_size=None"
            )
        images.append(pixels)
    channels = max(pixels.shape[-1] for pixels in images)
    images = [np.broadcast_to(pixels, (*pixels.shape[:2], channels)) for pixels in images]
    return split_by_holdout(
        name,
        np.stack(images),
        np.repeat(np.arange(len(files), dtype=np.int32), [len(paths) for paths in files.values()]),
        tuple(files),
        horizontal_flip=False,
        validation_fraction=validation_fraction,
        seed=seed,
    )


def look_up_folder(name: str, *, directory: str | os.PathLike | None) -> tuple[int, int]:
    """(files, classes) of `directory`, before any is read: both parts together.

    Raises:
        ValueError: as `load_folder`, but for what shows only in the images.
    """
    files = list_images(check_directory(name, directory))
    return sum(len(paths) for paths in files.values()), len(files)


def check_directory(name: str, directory: str | os.PathLike | None) -> Path:
    """The folder of images; one that is not named is refused."""
    if directory is None:
        raise ValueError(
            f"`directory` must be given for {name!r}: the folder with a sub-folder for each class"
        )
    return Path(directory)


def list_images(directory: Path) -> dict[str, list[Path]]:
    if not directory.is_dir():
        raise ValueError(f"`directory` must be a folder. Received: directory={str(directory)!r}")
    folders = [path for path in _visible(directory) if path.is_dir()]
    if not folders:
        raise ValueError(
            "`directory` must hold a sub-folder of images for each class, or one for all; it holds "
            "none. "
            f"Received: directory={str(directory)!r}"
        )
    for folder in folders:
        if not _visible(folder):
            raise ValueError(f"{folder} has no images. Every class folder needs at least one.")
        try:
            folder.name.encode()
        except UnicodeEncodeError as error:  # the system lets names be any bytes; a card is text
            raise ValueError(
                "the name of a class folder must be UTF-8. "
                f"Received: {os.fsencode(folder.name)!r} in {directory}"
            ) from error
    return {folder.name: _visible(folder) for folder in folders}


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _size(pixels: np.ndarray) -> str:
    height, width, _ = pixels.shape
    return f"{width}x{height} pixels"
