"""What is packed: images in a folder, TFDS, or any other data set, in blocks."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from kdiffusion.data import DATASETS, load_dataset, name_and_directory
from kdiffusion.data.folder import check_one_size, list_images
from kdiffusion.data.image_dataset import holdout_mask
from kdiffusion.data.loading import FOLDER, TFDS
from kdiffusion.images import ImageSize, fit_image, read_image

SPLITS = ("train", "validation")
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
) -> Source:
    """Finds out what a source is and how its images are split; arguments as for `pack`."""
    name, directory = name_and_directory(str(source), directory)
    read = READERS.get(DATASETS.get(name, TFDS), _from_memory)
    return read(name, directory, image_size, validation_fraction, seed)


def _from_folder(name, directory, image_size, validation_fraction, seed):
    """Images in files, decoded by a thread for each core: Pillow works outside Python's lock."""
    classes = list_images(directory)
    files = [path for paths in classes.values() for path in paths]
    labels = np.repeat(np.arange(len(classes), dtype=np.int32), [*map(len, classes.values())])
    held_out = holdout_mask(labels, validation_fraction, seed)
    rows = dict(zip(SPLITS, (np.flatnonzero(~held_out), np.flatnonzero(held_out)), strict=True))

    def decode(file):
        return fit_image(read_image(file), image_size)

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

    labels_of_parts = {part: labels[rows[part]] for part in SPLITS}
    return Source(tuple(classes), False, shape, labels_of_parts, read)


def _from_tfds(name, directory, image_size, validation_fraction, seed):
    from kdiffusion.data import tfds

    builder = tfds.prepared_builder(name, directory)
    split = tfds.validation_split(builder)
    splits = {"train": "train", "validation": split or "train"}  # of TFDS
    labels = {split: tfds.read_labels(builder, split) for split in {*splits.values()}}
    chosen = {part: np.ones(len(labels[splits[part]]), bool) for part in SPLITS}
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
    labels_of_parts = {part: labels[splits[part]][chosen[part]] for part in SPLITS}
    return Source(class_names, tfds.is_mirrorable(name), images.shape[1:], labels_of_parts, read)


def _from_memory(name, directory, image_size, validation_fraction, seed):
    dataset = load_dataset(
        name, directory=directory, image_size=image_size, validation_fraction=validation_fraction,
        seed=seed,
    )  # fmt: skip
    images = {"train": dataset.images, "validation": dataset.validation_images}
    labels = {"train": dataset.labels, "validation": dataset.validation_labels}
    shape, names = dataset.image_shape, dataset.class_names
    return Source(names, dataset.horizontal_flip, shape, labels, lambda part: [images[part]])


# By the module in `DATASETS`: those that are read without all their images in memory.
READERS = {FOLDER: _from_folder, TFDS: _from_tfds}
