"""Images on disk that are to be measured: a folder of them, an NPZ, or many NPZ of one sampling."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kdiffusion.data import folder
from kdiffusion.images import FILE_ENDINGS, read_image

ARRAYS = {"images": "labels", "arr_0": "arr_1"}  # the array of images ► that of their labels


class ImageSet(NamedTuple):
    """Images of one shape.

    Attributes:
        images: uint8 array `[N, H, W, C]`.
        labels: int array `[N]`, or None where they have none.
        class_names: tuple of str, or None where labels are numbers alone.
        settings: dict. How they were sampled, as far as the files say; may be empty.
    """

    images: np.ndarray
    labels: np.ndarray | None = None
    class_names: tuple[str, ...] | None = None
    settings: dict = {}  # noqa: RUF012 -- never changed

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of every image."""
        return self.images.shape[1:]

    def subset(self, count: int, seed: int = 0) -> ImageSet:
        """That many of the images, or all of fewer, chosen by the seed, in their order."""
        chosen = chosen_rows(len(self.images), count, seed)
        labels = None if self.labels is None else self.labels[chosen]
        return self._replace(images=self.images[chosen], labels=labels)


def chosen_rows(available: int, count: int, seed: int) -> np.ndarray:
    """Indices, in order, of as many images, or of all where there are fewer."""
    if count >= available:
        return np.arange(available)
    return np.sort(np.random.default_rng(seed).choice(available, count, replace=False))


def open_images(path: str | os.PathLike, files: Sequence[str] | None = None) -> ImageSet:
    """Reads a set of images.

    Args:
        path: path of an NPZ file with `images` (and `labels`) or `arr_0` (and `arr_1`), as
            guided-diffusion's evaluator takes it; of a folder that `kdiffusion sample_many`
            filled; or of a folder of images, flat or with a sub-folder for each class.
        files: names of the only NPZ files to read in that folder; all if not given.
    """
    path = Path(path)
    if path.suffix == ".npz":
        return _of_arrays([path])
    arrays = sorted(path.glob("images_*.npz")) if files is None else [path / f for f in files]
    return _of_arrays(arrays) if arrays else _of_image_files(path)


def _of_arrays(paths):
    sets = [_read_arrays(path) for path in paths]
    labels = [found.labels for found in sets if found.labels is not None]
    return sets[0]._replace(
        images=np.concatenate([found.images for found in sets]),
        labels=np.concatenate(labels) if len(labels) == len(sets) else None,
    )


def _read_arrays(path):
    job = path.with_name("job.json")  # in a folder of many samples
    with np.load(path, allow_pickle=False) as arrays:
        name = next((name for name in ARRAYS if name in arrays), None)
        if name is None or arrays[name].dtype != np.uint8:
            raise ValueError(f"{path} must hold `images` or `arr_0`, uint8 [N, H, W, C]")
        labels = arrays[ARRAYS[name]].astype(np.int64) if ARRAYS[name] in arrays else None
        settings = json.loads(job.read_text(encoding="utf-8"))["settings"] if job.is_file() else {}
        names = settings.get("class_names")
        return ImageSet(arrays[name], labels, names and tuple(names), settings)


def _of_image_files(path):
    shown = sorted(each for each in path.iterdir() if not each.name.startswith("."))
    files = [file for file in shown if file.suffix.lower() in FILE_ENDINGS]
    if not files:
        return ImageSet(*folder.load("folder", path, None)[:3])
    return ImageSet(np.stack([read_image(file) for file in files]))
