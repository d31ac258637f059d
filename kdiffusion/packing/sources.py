"""What is packed: images in files or WebDataset tars, TFDS, or any other data set, in blocks."""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kdiffusion.data import DATASETS, load_dataset, name_and_directory
from kdiffusion.data.folder import check_one_size, list_images
from kdiffusion.data.image_dataset import holdout_mask
from kdiffusion.data.loading import FOLDER, TFDS
from kdiffusion.images import ImageSize, fit_image, read_image

PARTS = ("train", "validation")
IMAGE_SUFFIXES = ("jpg", "jpeg", "png", "webp", "bmp", "ppm")
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


class ImageFile(NamedTuple):
    """An image in a file: all of it, or `size` bytes of a tar from `offset` on."""

    path: Path
    label: int
    name: str = ""
    offset: int = 0
    size: int = -1

    def read(self) -> np.ndarray:
        """uint8 `[H, W, C]`, C = 1 or 3."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            content = io.BytesIO(file.read(self.size))
        return read_image(f"{self.path}: {self.name}" if self.name else self.path, content)


def tar_files(source: str | os.PathLike) -> list[Path]:
    """The tar files that a source names, in order: one, a folder of them, or NAME-{000..123}.tar.

    Args:
        source: str or path.

    Returns:
        list of Path; empty where it names none.
    """
    path = Path(source)
    if path.is_dir():
        return sorted(path.glob("[!.]*.tar"))
    if path.suffix != ".tar":
        return []
    match = _RANGE.search(str(path))
    if match is None:
        return [path]
    first, last = match.groups()
    before, after = str(path)[: match.start()], str(path)[match.end() :]
    numbers = range(int(first), int(last) + 1)
    return [Path(f"{before}{number:0{len(first)}d}{after}") for number in numbers]


def index_tar(path: str | os.PathLike) -> list[ImageFile]:
    """The images in a WebDataset tar file.

    Files of the same name up to its first dot are one example: an image, and its class as a number
    in a `.cls` file, or as `label` in a `.json` file. Other files are passed over, such as
    `1.mask.png` beside `1.jpg`.

    Args:
        path: path of an uncompressed tar file.

    Raises:
        ValueError: an example lacks its image or its label.
    """
    images, labels = {}, {}
    with tarfile.open(path, "r:") as tar:
        for member in tar:
            folder, _, name = member.name.rpartition("/")
            stem, _, suffix = name.partition(".")
            example, suffix = f"{folder}/{stem}", suffix.lower()
            if not stem or not member.isfile():  # without a stem it is hidden: macOS' ._1.jpg
                continue
            if suffix in IMAGE_SUFFIXES:
                images[example] = member
            elif suffix == "cls":
                labels[example] = int(_content(tar, member))
            elif suffix == "json":
                facts = json.loads(_content(tar, member))
                if "label" in facts:
                    labels[example] = facts["label"]
    incomplete = images.keys() ^ labels.keys()
    if incomplete:
        raise ValueError(
            f"{path}: the example {min(incomplete)} must have an image, and a label in a .cls file "
            "or as `label` in a .json file"
        )
    return [
        ImageFile(Path(path), labels[example], member.name, member.offset_data, member.size)
        for example, member in images.items()
    ]


def _content(tar, member):
    return tar.extractfile(member).read()


BLOCK = 128  # images in memory at a time


class Source(NamedTuple):
    """A data set, split; its images are read when they are asked for.

    Attributes:
        class_names: tuple of str, in label order.
        horizontal_flip: bool. Whether a mirror image is as good an example.
        image_shape: (height, width, channels).
        labels: {part: int32 `[N]`}.
        read: function from a part to its images, uint8 `[B, H, W, C]`, one block after another.
    """

    class_names: tuple[str, ...]
    horizontal_flip: bool
    image_shape: tuple[int, int, int]
    labels: dict[str, np.ndarray]
    read: Callable[[str], Iterable[np.ndarray]]


def open_source(
    source: str | os.PathLike,
    directory: str | os.PathLike | None,
    image_size: ImageSize | None,
    validation_fraction: float,
    seed: int,
    class_names: tuple[str, ...],
) -> Source:
    """Finds out what a source is and how its images are split; arguments as for `pack`."""
    options = (image_size, validation_fraction, seed)
    tars = tar_files(source)
    if tars:
        files = [file for tar in tars for file in index_tar(tar)]
        class_names = class_names or tuple(map(str, range(max(file.label for file in files) + 1)))
        return _from_files(files, class_names, *options)
    name, directory = name_and_directory(str(source), directory)
    return READERS.get(DATASETS.get(name, TFDS), _from_memory)(name, directory, *options)


def _from_folder(name, directory, *options):
    classes = list_images(directory)
    files = [
        ImageFile(path, label) for label, paths in enumerate(classes.values()) for path in paths
    ]
    return _from_files(files, tuple(classes), *options)


def _from_files(files: Sequence[ImageFile], class_names, image_size, validation_fraction, seed):
    """Images in files, decoded by a thread for each core: Pillow works outside Python's lock."""
    labels = np.array([file.label for file in files], np.int32)
    if labels.min() < 0 or labels.max() >= len(class_names):
        raise ValueError(
            f"classes must lie in [0, {len(class_names)}), one for each of `class_names`. "
            f"Received: {labels.min()} to {labels.max()}"
        )
    held_out = holdout_mask(labels, validation_fraction, seed)
    rows = dict(zip(PARTS, (np.flatnonzero(~held_out), np.flatnonzero(held_out)), strict=True))

    def decode(file):
        pixels = file.read()
        return pixels if image_size is None else fit_image(pixels, image_size)

    def decoded(files) -> Iterator[list[np.ndarray]]:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for first in range(0, len(files), BLOCK):
                yield list(pool.map(decode, files[first : first + BLOCK]))

    # The first image with colours ends the search, so that only grey images are decoded twice.
    has_colours = any(pixels.shape[-1] == 3 for block in decoded(files) for pixels in block)
    height, width, _ = decode(files[0]).shape
    shape = (height, width, 3 if has_colours else 1)

    def read(part):
        for block in decoded([files[row] for row in rows[part].tolist()]):
            check_one_size([shape, *(pixels.shape for pixels in block)])
            yield np.stack([np.broadcast_to(pixels, shape) for pixels in block])

    labels_of_parts = {part: labels[rows[part]] for part in PARTS}
    return Source(class_names, False, shape, labels_of_parts, read)


def _from_tfds(name, directory, image_size, validation_fraction, seed):
    from kdiffusion.data import tfds

    builder = tfds.prepared_builder(name, directory)
    split = tfds.validation_split(builder)
    splits = {"train": "train", "validation": split or "train"}  # of TFDS
    labels = {split: tfds.read_labels(builder, split) for split in {*splits.values()}}
    chosen = {part: np.ones(len(labels[splits[part]]), bool) for part in PARTS}
    if split is None:
        held_out = holdout_mask(labels["train"], validation_fraction, seed)
        chosen = {"train": ~held_out, "validation": held_out}

    def read(part):
        first = 0
        for images, _ in tfds.read_batches(builder, splits[part], image_size):
            yield images[chosen[part][first : first + len(images)]]
            first += len(images)

    images, _ = next(tfds.read_batches(builder, "train", image_size))
    class_names = tuple(builder.info.features["label"].names)
    labels_of_parts = {part: labels[splits[part]][chosen[part]] for part in PARTS}
    return Source(class_names, tfds.is_mirrorable(name), images.shape[1:], labels_of_parts, read)


def _from_memory(name, directory, image_size, validation_fraction, seed):
    dataset = load_dataset(
        name,
        directory=directory,
        image_size=image_size,
        validation_fraction=validation_fraction,
        seed=seed,
    )
    images = {"train": dataset.images, "validation": dataset.validation_images}
    labels = {"train": dataset.labels, "validation": dataset.validation_labels}
    return Source(
        dataset.class_names,
        dataset.horizontal_flip,
        dataset.image_shape,
        labels,
        lambda part: [images[part]],
    )


# By the module in `DATASETS`: those that are read without all their images in memory.
READERS = {FOLDER: _from_folder, TFDS: _from_tfds}
