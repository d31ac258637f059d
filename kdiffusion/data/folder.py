"""A folder of images with a sub-folder for each class, read with Pillow."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kdiffusion.images import ImageSize, fit_image, read_image

from .image_dataset import Images


def load(name: str, directory: str | os.PathLike | None, image_size: ImageSize | None) -> Images:
    """Loads `directory/CLASS/IMAGE`, classes and images in alphabetical order.

    The images are grey if all are, else RGB; transparent ones are laid on white. Hidden files
    (`.name`) are passed over, and so are files beside the class folders; all else in a class
    folder must be an image. Images are not mirrored in training unless that is asked for.

    Arguments as for `load_dataset`.

    Raises:
        ValueError: There are no class folders, one is empty, a file can't be read as an image, or
            the images have several sizes and `image_size` is None.
    """
    files = list_images(directory)
    images = []
    for path in (path for paths in files.values() for path in paths):
        pixels = read_image(path)
        # At once, before the next is read: photographs are large.
        images.append(pixels if image_size is None else fit_image(pixels, image_size))
    labels = np.repeat(np.arange(len(files), dtype=np.int32), list(map(len, files.values())))
    return Images(np.stack(_with_equal_channels(images)), labels, tuple(files))


def list_images(directory: str | os.PathLike | None) -> dict[str, list[Path]]:
    """{class name: paths of its images}, in alphabetical order.

    Raises:
        ValueError: There are no class folders, or one is empty.
    """
    if directory is None:
        raise ValueError("`directory` must be the folder that holds a sub-folder for each class")
    files = {path.name: _visible(path) for path in _visible(Path(directory)) if path.is_dir()}
    if not files or not all(files.values()):
        empty = [name for name, paths in files.items() if not paths]
        raise ValueError(
            "`directory` must have a sub-folder of images for each class, or one for all. "
            f"Received: {directory}, " + (f"where {empty} are empty" if empty else "which has none")
        )
    return files


def _visible(folder):
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def check_one_size(shapes: Sequence[tuple[int, ...]]) -> None:
    """Refuses images of several (height, width, ...), naming the option that makes them equal."""
    sizes = sorted({shape[:2] for shape in shapes})
    if len(sizes) > 1:
        raise ValueError(
            "`image_size` must be given, as the images have several sizes (height, width): "
            f"{sizes[0]} and {sizes[1]} among them"
        )


def _with_equal_channels(images):
    check_one_size([pixels.shape for pixels in images])
    channels = max(pixels.shape[-1] for pixels in images)
    return [np.broadcast_to(pixels, (*pixels.shape[:2], channels)) for pixels in images]
