"""The real images that samples are compared with: a data set that was read, or its statistics."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kdiffusion.files import staged

from .distances import Gaussian, gaussian_of
from .features import Reader, make_reader
from .judge import find_judge, load_judge

if TYPE_CHECKING:
    from kdiffusion.data import ImageDataset

CACHE_VERSION = 3  # raise it where the same images and judge give other features
ALIKE = 1.1  # a largest class of so many times the smallest is of equal shares


@dataclasses.dataclass(frozen=True)
class Real:
    """What samples are compared with: a data set that was read, or saved statistics of one.

    Attributes:
        name: str. Of the data.
        reader: Reader, which reads the samples too.
        class_names: tuple of str; None where labels say nothing.
        gaussian: Gaussian of the training images' features.
        class_counts: int array `[C]`, the training images of each class; None where unknown.
        dataset: ImageDataset; None where there are only statistics, as is all that follows.
        features: float32 array `[N, D]` of the training images.
        held_out: float32 array `[M, D]` of the validation images.
        held_out_mirrored: the same of their mirror images; None where those are no examples.
        held_out_classes: int array `[M]`, as the judge reads them; None without one.
    """

    name: str
    reader: Reader
    class_names: tuple[str, ...] | None
    gaussian: Gaussian
    class_counts: Any
    dataset: Any = None
    features: Any = None  # arrays; Any, as measures that need them are not taken without them
    held_out: Any = None
    held_out_mirrored: Any = None
    held_out_classes: Any = None


def read_real(
    data: ImageDataset | str | os.PathLike,
    image_shape: tuple[int, ...],
    class_names: Sequence[str] | None,
    progress: bool = True,
    *,
    judge: str | None = None,
    features: str | os.PathLike | None = None,
    feature_size: int | None = None,
    feature_range: tuple[float, float] = (0.0, 255.0),
    feature_output: str | None = None,
) -> Real:
    """Reads the real images, or finds in the cache what was read of them before.

    Args:
        data: ImageDataset, or the path of an NPZ file of statistics.
        image_shape: `(height, width, channels)` of the samples.
        class_names: tuple of str, the meaning of their labels; None for the data set's. A single
            class, where the data set has several, says nothing.
        progress: bool. Whether to show bars.
        judge: name or path of a judge; None for the one of the data set, if it has one.
        features, feature_size, feature_range, feature_output: as for `make_reader`.
    """
    dataset = None if isinstance(data, str | os.PathLike) else data
    unlabelled = dataset is not None and len(class_names or ()) == 1 != dataset.num_classes
    class_names = None if unlabelled or class_names is None else tuple(class_names)
    if judge is None and dataset is not None:
        judge = find_judge(dataset.name, image_shape, class_names or dataset.class_names)
    opened = None if judge is None else load_judge(judge)
    names = class_names
    for argument, each in (("data", dataset), ("judge", opened)):
        if each is not None:
            names = names or each.class_names
            if each.image_shape != tuple(image_shape) or each.class_names != names:
                raise ValueError(
                    f"`{argument}` must have images {tuple(image_shape)} of the classes "
                    f"{', '.join(names)}. Received: {each.name}, {each.image_shape}, "
                    f"{', '.join(each.class_names)}"
                )
    reader = make_reader(features, opened, feature_size, feature_range, feature_output)
    names = None if unlabelled else names
    if dataset is None:
        return _load_statistics(Path(str(data)), reader, image_shape, names)
    arrays = _cached(dataset, reader, progress)
    counts = np.bincount(dataset.labels, minlength=dataset.num_classes)
    gaussian = gaussian_of(arrays["features"])
    return Real(dataset.name, reader, names, gaussian, counts, dataset, **arrays)


def _cached(dataset, reader, progress):
    """What is read of a data set: of 50,000 images it takes minutes, so it is kept on disk."""
    judge = None if reader.judge is None else reader.judge.sha256
    known_by = f"{dataset.content_hash()} {dataset.horizontal_flip} {reader.identity} {judge}"
    key = hashlib.sha256(known_by.encode()).hexdigest()
    path = cache_folder() / "evaluation" / f"v{CACHE_VERSION}-{key}.npz"
    if path.exists():
        with np.load(path) as arrays:
            return dict(arrays)
    # A judge beside other features needn't read the training images.
    alone = reader if reader.extract is None else dataclasses.replace(reader, judge=None)
    found = {"features": alone(dataset.images, "training images", progress)[0]}
    images = dataset.validation_images
    found["held_out"], classes = reader(images, "held-out images", progress)
    if classes is not None:
        found["held_out_classes"] = classes
    if dataset.horizontal_flip:
        found["held_out_mirrored"], _ = alone(images, "mirrored images", progress, mirrored=True)
    with staged(path, overwrite=True) as temporary, open(temporary, "wb") as file:
        np.savez(file, **found)
    return found


def cache_folder() -> Path:
    """$KDIFFUSION_CACHE_DIR, or ~/.cache/kdiffusion."""
    return Path(os.environ.get("KDIFFUSION_CACHE_DIR") or Path.home() / ".cache" / "kdiffusion")


def statistics_of(real: Real) -> dict[str, Any]:
    """Mean and covariance of the training images, as other tools read them from an NPZ: mu, sigma.

    And, for `read_real`, what the features are, and how many images each class has.
    """
    return {
        "mu": real.gaussian.mean, "sigma": real.gaussian.covariance, "images": len(real.features),
        "features": real.reader.name, "identity": real.reader.identity,
        "class_counts": real.class_counts,
    }  # fmt: skip


def _load_statistics(path, reader, image_shape, class_names):
    with np.load(path, allow_pickle=False) as arrays:
        gaussian = Gaussian(arrays["mu"], arrays["sigma"])
        identity = str(arrays["identity"]) if "identity" in arrays else reader.identity
        counts = arrays.get("class_counts")
    dimensions = reader(np.zeros((1, *image_shape), np.uint8))[0].shape[1]
    if identity != reader.identity or dimensions != len(gaussian.mean):
        raise ValueError(
            f"`data` must hold statistics of {reader.name}, or --judge or --features must name "
            f"what they are of. Received: {path}"
        )
    return Real(str(path), reader, class_names, gaussian, counts)


def labels_to_sample(classes: int, real: Real) -> Sequence[int]:
    """Labels to sample one after another, and again from the first.

    Distances between sets of images see the shares of classes, too: where the real images have
    these classes in unequal shares, the labels have the same, and nearly so has any beginning.
    """
    counts = real.class_counts
    if counts is None or len(counts) != classes or counts.max() <= ALIKE * counts.min():
        return range(classes)
    # The images of each class are spread evenly over the way from 0 to 1, no two classes alike.
    places = [(np.arange(n) + (k + 0.5) / classes) / n for k, n in enumerate(counts) if n]
    return np.repeat(np.arange(classes), counts)[np.argsort(np.concatenate(places))].tolist()
