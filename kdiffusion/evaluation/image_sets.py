"""Sets of drawn images on disk, read batch by batch: never all of them in memory.

Read are a folder of images, an NPZ with `images` (and `labels`) or `arr_0` (and `arr_1`), as
guided-diffusion's evaluator takes it, and the folder of such files that `kdiffusion sample_many`
fills.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kdiffusion.images import FILE_ENDINGS, read_image

if TYPE_CHECKING:
    from kdiffusion.diffusion.arguments import Integers

BATCH_SIZE = 500  # images at a time
ARRAYS = {"images": "labels", "arr_0": "arr_1"}  # the array of images ► that of their labels
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError)  # what reading raises
LABEL_IN_NAME = re.compile(r"_label(\d+)$")


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """Images on disk, of one shape.

    Attributes:
        path: Path.
        kind: str. What it is, in words.
        image_shape: `(height, width, channels)`.
        count: int, N.
        labels: int array `[N]`, or None where they have none.
        class_names: tuple of str, or None where labels are numbers alone.
        settings: dict. What was asked of the sampler, as far as the files say; may be empty.
        read: function that gives uint8 arrays `[B, H, W, C]`, all N images in order.
    """

    path: Path
    kind: str
    image_shape: tuple[int, int, int]
    count: int
    labels: np.ndarray | None
    class_names: tuple[str, ...] | None
    settings: dict
    read: Callable[[], Iterator[np.ndarray]]

    def subset(self, count: int, seed: int = 0) -> ImageSet:
        """As many of the images, chosen by the seed, in their order."""
        if not 1 <= count <= self.count:
            raise ValueError(
                f"`images` must be from 1 to the {self.count} images of {self.path}. "
                f"Received: images={count}"
            )
        chosen = np.sort(np.random.default_rng(seed).choice(self.count, count, replace=False))
        mask = np.zeros(self.count, bool)
        mask[chosen] = True

        def read():
            first = 0
            for batch in self.read():
                wanted = mask[first : first + len(batch)]
                first += len(batch)
                if wanted.any():
                    yield batch[wanted]

        labels = None if self.labels is None else self.labels[chosen]
        return dataclasses.replace(self, count=count, labels=labels, read=read)

    def pick(self, indices: Integers) -> np.ndarray:
        """The images of some indices, uint8 `[K, H, W, C]`, in their order."""
        wanted, first, found = set(map(int, indices)), 0, {}
        for batch in self.read():
            for index in wanted & set(range(first, first + len(batch))):
                found[index] = batch[index - first].copy()
            first += len(batch)
        return np.stack([found[int(index)] for index in indices])


def open_images(path: str | os.PathLike, files: Sequence[str] | None = None) -> ImageSet:
    """Opens a set of images, whatever it is.

    Args:
        path: path of an NPZ file, of a folder of images (with a sub-folder for each class, or
            flat), or of a folder that `kdiffusion sample_many` filled. Hidden files and folders
            (`.name`) are passed over, and so are files beside the class folders that are no images.
        files: names of NPZ files in that folder, the only ones to read; all if not given.

    Returns:
        ImageSet.

    Raises:
        ValueError: none of these, or images of several shapes or of another type; or, among
            images, a file that is none by its name. Says which file.
    """
    path = Path(path)
    if path.is_dir():
        shards = sorted(path.glob("images_*.npz")) if files is None else [path / f for f in files]
        return _open_arrays(path, shards) if shards else _open_image_files(path)
    if path.suffix == ".npz" and path.is_file():
        return _open_arrays(path, [path])
    raise ValueError(
        "`source` must be a folder of images, a folder of `kdiffusion sample_many`, or an NPZ "
        f"file with `images` or `arr_0`. Received: {path}"
    )


def _open_arrays(path, files):
    headers = [_array_header(file) for file in files]
    shapes = {shape[1:] for _, shape, _ in headers}
    if len(shapes) > 1:
        raise ValueError(f"The images of {path} must be of one shape. Received: {sorted(shapes)}")
    labels = [labels for _, _, labels in headers if labels is not None]
    return ImageSet(
        path=path,
        kind="NPZ file" if files == [path] else "folder of NPZ files",
        image_shape=shapes.pop(),
        count=sum(shape[0] for _, shape, _ in headers),
        labels=np.concatenate(labels) if len(labels) == len(headers) else None,
        class_names=_class_names(files[0]),
        settings=_settings(files[0]),
        read=lambda: (
            batch
            for file, (name, shape, _) in zip(files, headers, strict=True)
            for batch in _stream(file, name, shape)
        ),
    )


def _array_header(path):
    """(name, shape, labels or None) of the images in an NPZ file; the images stay on disk."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.removesuffix(".npy") for name in archive.namelist()}
            found = [name for name in ARRAYS if name in names]
            if not found:
                raise ValueError(f"it holds {', '.join(sorted(names)) or 'nothing'}")
            with archive.open(f"{found[0]}.npy") as file:
                shape, fortran, dtype = _read_header(file)
        if dtype != np.uint8 or len(shape) != 4 or shape[3] not in (1, 3) or 0 in shape or fortran:
            raise ValueError(f"`{found[0]}` is {dtype} of shape {shape}")
        label_name = ARRAYS[found[0]]
        labels = None
        if label_name in names:
            with np.load(path, allow_pickle=False) as arrays:
                labels = np.asarray(arrays[label_name])
            if labels.shape != shape[:1] or labels.dtype.kind not in "iu":
                raise ValueError(f"`{label_name}` is {labels.dtype} of shape {labels.shape}")
            labels = labels.astype(np.int64)
    except DAMAGED as error:
        raise ValueError(
            f"{path} must hold `images` or `arr_0`, uint8 [N, H, W, 1 or 3], and with labels one "
            f"whole number for each: {error}"
        ) from error
    return found[0], shape, labels


def _read_header(file):
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in read:
        raise ValueError(f"the array has NumPy's format version {version}")
    return read[version](file)


def _stream(path, name, shape):
    count, *image_shape = shape
    size = int(np.prod(image_shape))
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
        _read_header(file)
        for first in range(0, count, BATCH_SIZE):
            number = min(BATCH_SIZE, count - first)
            try:
                content = file.read(number * size)
            except DAMAGED as error:
                raise ValueError(f"{path} is damaged: {error}") from error
            if len(content) != number * size:
                raise ValueError(f"{path} is cut short: `{name}` ends before its last image")
            yield np.frombuffer(content, np.uint8).reshape(number, *image_shape)


def _settings(path):
    job = path.with_name("job.json")  # in a folder of `kdiffusion sample_many`
    return json.loads(job.read_text(encoding="utf-8"))["settings"] if job.is_file() else {}


def _class_names(path):
    names = _settings(path).get("class_names")
    return None if names is None else tuple(names)


def _visible(folder):
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _open_image_files(path):
    inside = _visible(path)
    by_class = {folder.name: _visible(folder) for folder in inside if folder.is_dir()}
    by_class = {name: files for name, files in by_class.items() if files}
    beside = [file for file in inside if not file.is_dir()]
    is_flat = any(map(_is_image, beside))
    if bool(by_class) == is_flat:
        raise ValueError(
            f"{path} must hold images ({', '.join(FILE_ENDINGS)}), or a sub-folder of them "
            f"for each class. Received: {'both' if is_flat else 'neither'}"
        )
    files = beside if is_flat else [file for files in by_class.values() for file in files]
    other = next((file for file in files if not _is_image(file)), None)
    if other is not None:
        raise ValueError(
            f"{other} must be an image, as its name should say ({', '.join(FILE_ENDINGS)}): what "
            "is none must not lie among the images"
        )
    labels = [match and int(match[1]) for match in (LABEL_IN_NAME.search(f.stem) for f in files)]
    if by_class:
        labels = np.repeat(np.arange(len(by_class)), [len(files) for files in by_class.values()])
    image_shape = read_image(files[0]).shape
    return ImageSet(
        path=path,
        kind="folder of images",
        image_shape=image_shape,
        count=len(files),
        labels=None if None in list(labels) else np.asarray(labels, np.int64),
        class_names=tuple(by_class) or None,
        settings={},
        read=lambda: (
            np.stack([_pixels(file, image_shape) for file in files[first : first + BATCH_SIZE]])
            for first in range(0, len(files), BATCH_SIZE)
        ),
    )


def _is_image(path):
    return path.suffix.lower() in FILE_ENDINGS


def _pixels(path, image_shape):
    pixels = read_image(path)
    if pixels.shape != image_shape:
        raise ValueError(
            f"{path} must have the shape of the first image, {image_shape}. "
            f"Received: {pixels.shape}"
        )
    return pixels
