"""A folder of images with a sub-folder for each class, read with Pillow."""

import contextlib
import csv
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kdiffusion.images import ImageSize, fit_image, read_image

from .image_dataset import Images

METADATA = "metadata.csv"  # as in the Hugging Face Hub's data sets of images


def load(
    name: str,
    directory: str | os.PathLike | None,
    image_size: ImageSize | None,
    numbers: Sequence[str] = (),
    condition_directory: str | os.PathLike | None = None,
) -> Images:
    """Loads `directory/CLASS/IMAGE`, classes and images in alphabetical order.

    The images are grey if all are, else RGB; transparent ones are laid on white. Hidden files
    (`.name`) are passed over, and so are files beside the class folders; all else in a class
    folder must be an image. Images are not mirrored in training unless that is asked for.

    Arguments as for `load_dataset`.

    Raises:
        ValueError: There are no class folders, one is empty, a file can't be read as an image, the
            images have several sizes and `image_size` is None, or a number is missing.
    """
    files = list_images(directory)
    paths = [path for each in files.values() for path in each]
    images, conditions = _read_images(paths, image_size), {}
    if numbers:
        conditions["numbers"] = _read_numbers(Path(directory or "."), paths, numbers)
    if condition_directory is not None:
        others = [Path(condition_directory, path.relative_to(directory or ".")) for path in paths]
        conditions["image"] = _read_images(others, images.shape[1:3])
    labels = np.repeat(np.arange(len(files), dtype=np.int32), list(map(len, files.values())))
    return Images(images, labels, tuple(files), conditions=conditions, number_names=tuple(numbers))


def _read_numbers(directory, paths, names):
    """float32 `[N, K]`: columns of metadata.csv, whose `file_name` is an image's CLASS/IMAGE."""
    with open(directory / METADATA, encoding="utf-8", newline="") as file:
        rows = {row["file_name"]: row for row in csv.DictReader(file)}
    numbers = np.full((len(paths), len(names)), np.nan, np.float32)
    for i, path in enumerate(paths):
        file_name = path.relative_to(directory).as_posix()
        for k, name in enumerate(names):
            text = rows.get(file_name, {}).get(name)
            with contextlib.suppress(TypeError, ValueError):
                numbers[i, k] = float(text)  # pyright: ignore[reportArgumentType]
            if not np.isfinite(numbers[i, k]):
                raise ValueError(
                    f"{directory / METADATA} must have a finite number `{name}` of {file_name}. "
                    f"Received: {text!r}"
                )
    return numbers


def _read_images(paths, image_size):
    """uint8 `[N, H, W, C]`."""
    # Each at once, before the next is read: photographs are large.
    images = [fit_image(read_image(path), image_size) for path in paths]
    check_one_size([pixels.shape for pixels in images])
    channels = max(pixels.shape[-1] for pixels in images)
    return np.stack([np.broadcast_to(each, (*each.shape[:2], channels)) for each in images])


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
