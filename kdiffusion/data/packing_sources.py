"""What is packed: images in files, a data set of TFDS, or one in memory; each piece by piece.

A source has `class_names`, `horizontal_flip` and `identity`, JSON by which it is known again;
`look()`, the images' shape and {part: labels}; and `fill(folder, shape, done, note)`, which writes
what is not done yet and calls `note(piece, images)` after each piece.
"""

from __future__ import annotations

import concurrent.futures
import io
import multiprocessing
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from kdiffusion.images import COLOUR_MODES, FILE_FORMATS, GREY_MODES, read_image
from kdiffusion.parent_process import end_with_parent

from . import tfds_catalog
from .holdout import holdout_mask
from .image_dataset import ImageDataset
from .packed import IMAGES, TRAIN, VALIDATION
from .record_file import write_rows
from .resize import ImageSize, fit_image

# Of `look` and of `fill`: the images' shape and {part: labels}; what is called after each piece.
Look = tuple[tuple[int, int, int], dict[str, np.ndarray]]
Note = Callable[[str, int], None]

CHUNK = 512  # images that are written, and noted as done, together


@dataclass(frozen=True)
class Item:
    """An image in a file: all of it, or `size` bytes of a tar from `offset` on."""

    path: str
    label: int
    offset: int | None = None
    size: int = 0
    name: str = ""

    def read(self) -> np.ndarray:
        """uint8 `[H, W, C]`, C = 1 or 3."""
        return read_image(self.called, None if self.offset is None else self._bytes())

    def is_grey(self) -> bool:
        """Whether the file's header says so.

        Raises:
            ValueError: as `read`, where the header can't be read, or is of what `read` refuses.
        """
        try:
            file = self.path if self.offset is None else self._bytes()
            with Image.open(file, formats=FILE_FORMATS) as opened:
                if opened.mode in GREY_MODES | COLOUR_MODES:
                    return opened.mode in GREY_MODES
        except Exception:  # Pillow's decoders raise a dozen kinds; `read` says which file it was
            pass
        return self.read().shape[-1] == 1

    @property
    def called(self) -> str:
        """How errors name it."""
        return self.path if self.offset is None else f"{self.path}: {self.name}"

    def _bytes(self):
        with open(self.path, "rb") as file:
            file.seek(self.offset or 0)
            return io.BytesIO(file.read(self.size))


class ItemSource:
    """Images in files: of a folder with a sub-folder for each class, or of WebDataset tars.

    Args:
        items: list of Item.
        class_names: tuple of str.
        image_size: int, (height, width) or None.
        validation_fraction, seed: what is held out, as of `load_dataset`.
        processes: int. How many decode at a time.
        progress: bool.
    """

    horizontal_flip = False

    def __init__(
        self,
        items: Sequence[Item],
        class_names: tuple[str, ...],
        image_size: ImageSize | None,
        validation_fraction: float,
        seed: int,
        processes: int,
        progress: bool,
    ) -> None:
        self.class_names = class_names
        self.identity = [[item.called, item.size, item.label] for item in items]
        self._image_size, self._processes, self._progress = image_size, processes, progress
        held_out = holdout_mask(np.array([item.label for item in items]), validation_fraction, seed)
        if not held_out.any():
            raise ValueError("no class has an image to spare for validation: one must have two")
        self._items = {
            TRAIN: [item for item, out in zip(items, held_out, strict=True) if not out],
            VALIDATION: [item for item, out in zip(items, held_out, strict=True) if out],
        }

    def look(self) -> Look:
        """(image shape, {part: labels}), from the headers of all files and the first image."""
        items = [item for part in self._items.values() for item in part]
        chunks = [items[i : i + CHUNK] for i in range(0, len(items), CHUNK)]
        with self._pool() as run, self._bar(len(items), "Looking at headers") as bar:
            grey = True
            for chunk, is_grey in zip(chunks, run(_all_grey, chunks), strict=True):
                grey = grey and is_grey
                bar.update(len(chunk))
        height, width, _ = _decoded(items[0], self._image_size, 1 if grey else 3).shape
        shape = (height, width, 1 if grey else 3)
        return shape, {
            part: np.asarray([item.label for item in items], np.int32)
            for part, items in self._items.items()
        }

    def fill(
        self, folder: Path, shape: tuple[int, int, int], done: Collection[str], note: Note
    ) -> None:
        """Writes what is not done yet; `note(piece, images)` after each piece."""
        tasks = []
        for part, items in self._items.items():
            path = str(Path(folder, IMAGES[part]))
            tasks += [
                (
                    path,
                    f"{part} {first}",
                    first,
                    items[first : first + CHUNK],
                    self._image_size,
                    shape,
                )
                for first in range(0, len(items), CHUNK)
                if f"{part} {first}" not in done
            ]
        with self._pool() as run:
            for piece, count in run(_write_chunk, tasks):
                note(piece, count)

    def _bar(self, total, description):
        return tqdm(total=total, desc=description, unit="image", disable=not self._progress)

    def _pool(self):
        return _Pool(self._processes)


class _Pool:
    """`with _Pool(n) as run`: `run(function, tasks)` gives results in the order of the tasks."""

    def __init__(self, processes: int) -> None:
        self._executor = None
        if processes > 1:
            # Not by fork: the caller may have started TensorFlow's threads.
            context = multiprocessing.get_context("spawn")
            self._executor = concurrent.futures.ProcessPoolExecutor(
                processes, context, initializer=end_with_parent
            )

    def __enter__(self):
        return map if self._executor is None else self._executor.map

    def __exit__(self, kind, error, trace):
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)
        if isinstance(error, BrokenProcessPool):
            raise MemoryError(
                "a process that decodes images was killed. Give the same command again, which goes "
                "on, with fewer `--processes`"
            ) from error


def _all_grey(items):
    return all(item.is_grey() for item in items)


def _decoded(item, image_size, channels):
    pixels = item.read()
    pixels = np.broadcast_to(pixels, (*pixels.shape[:2], max(channels, pixels.shape[-1])))
    return pixels if image_size is None else fit_image(pixels, image_size)


def _write_chunk(task):
    path, piece, first, items, image_size, shape = task
    images = np.empty((len(items), *shape), np.uint8)
    for index, item in enumerate(items):
        pixels = _decoded(item, image_size, shape[-1])
        if pixels.shape[-1] > shape[-1]:
            raise ValueError(
                f"{item.called} has colours, and all images were grey when packing began. Give a "
                "grey one, or remove the unfinished folder"
            )
        if pixels.shape != shape:
            raise ValueError(
                f"{item.called} is {pixels.shape[1]}x{pixels.shape[0]} where the first is "
                f"{shape[1]}x{shape[0]}: images must be of one size unless `image_size` is set"
            )
        images[index] = pixels
    write_rows(path, first, images)
    return piece, len(items)


class TfdsSource:
    """A data set of TFDS, read split by split.

    Args:
        name, directory, image_size, validation_fraction, seed, other_names: as of `load_tfds`.
    """

    def __init__(
        self,
        name: str,
        directory: str | os.PathLike | None,
        image_size: ImageSize | None,
        validation_fraction: float,
        seed: int,
        other_names: Iterable[str],
    ) -> None:
        self._builder = tfds_catalog.prepared_builder(name, directory, other_names)
        self._name, self._image_size = name, image_size
        self.class_names = tuple(self._builder.info.features["label"].names)
        self.horizontal_flip = tfds_catalog.is_mirrorable(name)
        self.identity = [self._builder.info.full_name]
        labels = tfds_catalog.read_labels(self._builder, "train")
        # [(split, {part: bool mask over its examples})]
        self._splits: list[tuple[str, dict[str, np.ndarray]]] = []
        for split in tfds_catalog.HELD_OUT_SPLITS:
            if split not in self._builder.info.splits:
                continue
            others = tfds_catalog.read_labels(self._builder, split)
            if others.min() >= 0:
                self._splits = [
                    ("train", {TRAIN: np.ones(len(labels), bool)}),
                    (split, {VALIDATION: np.ones(len(others), bool)}),
                ]
                self._labels = {TRAIN: labels, VALIDATION: others}
                break
        if not self._splits:
            out = holdout_mask(labels, validation_fraction, seed)
            self._splits = [("train", {TRAIN: ~out, VALIDATION: out})]
            self._labels = {TRAIN: labels[~out], VALIDATION: labels[out]}

    def look(self) -> Look:
        """(image shape, {part: labels}), from the first batch."""
        batches = tfds_catalog.read_batches(self._name, self._builder, "train", self._image_size)
        images, _ = next(iter(batches))
        return images.shape[1:], self._labels

    def fill(
        self, folder: Path, shape: tuple[int, int, int], done: Collection[str], note: Note
    ) -> None:
        """Writes what is not done yet; `note(piece, images)` after each piece."""
        for split, masks in self._splits:
            count = len(next(iter(masks.values())))
            first = 0
            while f"{split} {first}" in done and first < count:
                first += CHUNK
            places = {part: np.cumsum(mask) - 1 for part, mask in masks.items()}
            for images in self._chunks(split, first, shape):
                rows = slice(first, first + len(images))
                for part, mask in masks.items():
                    chosen = np.flatnonzero(mask[rows])
                    if len(chosen):
                        at = int(places[part][first + chosen[0]])
                        write_rows(Path(folder, IMAGES[part]), at, images[chosen])
                note(f"{split} {first}", len(images))
                first += CHUNK

    def _chunks(self, split, first, shape):
        waiting = np.empty((0, *shape), np.uint8)
        batches = tfds_catalog.read_batches(
            self._name, self._builder, split, self._image_size, first
        )
        for images, _ in batches:
            if images.shape[1:] != shape:
                raise ValueError(
                    f"Images of {self._name!r} must be of one size unless `image_size` is set. "
                    f"Received: {shape} and {images.shape[1:]} in its `{split}` split"
                )
            waiting = np.concatenate([waiting, images])
            while len(waiting) >= CHUNK:
                yield waiting[:CHUNK]
                waiting = waiting[CHUNK:]
        if len(waiting):
            yield waiting


class MemorySource:
    """A data set that is loaded into memory.

    Args:
        dataset: ImageDataset.
    """

    def __init__(self, dataset: ImageDataset) -> None:
        self._parts = {
            TRAIN: (dataset.images, dataset.labels),
            VALIDATION: (dataset.validation_images, dataset.validation_labels),
        }
        self.class_names, self.horizontal_flip = dataset.class_names, dataset.horizontal_flip
        self.identity = [dataset.content_hash()]

    def look(self) -> Look:
        """(image shape, {part: labels})."""
        labels = {part: labels for part, (_, labels) in self._parts.items()}
        return self._parts[TRAIN][0].shape[1:], labels

    def fill(
        self, folder: Path, shape: tuple[int, int, int], done: Collection[str], note: Note
    ) -> None:
        """Writes what is not done yet; `note(piece, images)` after each piece."""
        for part, (images, _) in self._parts.items():
            for first in range(0, len(images), CHUNK):
                if f"{part} {first}" not in done:
                    rows = images[first : first + CHUNK]
                    write_rows(Path(folder, IMAGES[part]), first, rows)
                    note(f"{part} {first}", len(rows))
