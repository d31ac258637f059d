"""The real images that samples are compared with: a data set, and what was read of it."""

import dataclasses
import functools
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kdiffusion.atomic_files import staged
from kdiffusion.data import ImageDataset
from kdiffusion.diffusion.card import DenoiserCard
from kdiffusion.diffusion.conditions import Conditions, check_conditions

from .distances import Gaussian, gaussian_of
from .features import Reader, Reading, make_reader
from .judge import find_judge, load_judge

CACHE_VERSION = 3  # raise it where the same images and judge give other features
EQUAL_SHARES = 1.1  # a largest class of so many times the smallest is of equal shares


@dataclasses.dataclass(frozen=True)
class Real:
    """What samples are compared with: a data set that was read.

    Attributes:
        dataset: ImageDataset.
        reader: Reader, which reads the samples too.
        class_names: tuple of str; None where labels say nothing.
        features: float32 array `[N, D]` of the training images.
        held_out: float32 array `[M, D]` of the validation images.
        held_out_mirrored: the same of their mirror images; None where those are no examples.
        held_out_classes: int array `[M]`, as the judge reads them; None without one.
    """

    dataset: ImageDataset
    reader: Reader
    class_names: tuple[str, ...] | None
    features: np.ndarray
    held_out: np.ndarray
    held_out_mirrored: np.ndarray | None = None
    held_out_classes: np.ndarray | None = None

    @functools.cached_property
    def gaussian(self) -> Gaussian:
        """The Gaussian of the training images' features."""
        return gaussian_of(self.features)


def read_real(
    dataset: ImageDataset,
    image_shape: tuple[int, ...],
    class_names: Sequence[str] | None,
    progress: bool = True,
    **reading: Any,
) -> Real:
    """Reads the real images, or finds in the cache what was read of them before.

    Args:
        dataset: ImageDataset.
        image_shape: `(height, width, channels)` of the samples.
        class_names: tuple of str, the meaning of their labels; None for the data set's. None at
            all, or a single one where the data set has several, say nothing.
        progress: bool. Whether to show bars.
        **reading: the fields of `Reading`.
    """
    own = dataset.class_names if class_names is None else tuple(class_names)
    unlabelled = not own or len(own) == 1 != dataset.num_classes
    names = dataset.class_names if unlabelled else own
    asked = Reading(**reading)
    found = None if asked.judge else find_judge(dataset.name, image_shape, names)
    judge = load_judge(asked.judge) if asked.judge else found
    for argument, each in (("data", dataset), ("judge", judge)):
        if each is not None and (each.image_shape, each.class_names) != (tuple(image_shape), names):
            raise ValueError(
                f"`{argument}` must have images {tuple(image_shape)} of the classes "
                f"{', '.join(names)}. Received: {each.name}, {each.image_shape}, "
                f"{', '.join(each.class_names)}"
            )
    reader = make_reader(asked, judge)
    arrays = _cached(dataset, reader, progress)
    return Real(dataset, reader, None if unlabelled else names, **arrays)


def _cached(dataset, reader, progress):
    """What is read of a data set: of 50,000 images it takes minutes, so it is kept on disk."""
    known_by = f"{dataset.content_hash()} {dataset.horizontal_flip} {reader.identity}"
    key = hashlib.sha256(known_by.encode()).hexdigest()
    cache = os.environ.get("KDIFFUSION_CACHE_DIR") or Path.home() / ".cache" / "kdiffusion"
    path = Path(cache, "evaluation", f"v{CACHE_VERSION}-{key}.npz")
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


def conditions_to_sample(card: DenoiserCard, dataset: ImageDataset) -> Conditions:
    """Conditions to sample one after another, and again from the first.

    Those of held-out images, where a model is conditioned on more than a label.
    """
    if card.condition_shapes:
        rows = np.arange(len(dataset.validation_images))
        return check_conditions(card, dataset.asked(rows), len(rows))
    return Conditions(np.array(labels_to_sample(len(card.class_names), dataset), np.int32))


def labels_to_sample(classes: int, dataset: ImageDataset) -> Sequence[int]:
    """Labels to sample one after another, and again from the first.

    Distances between sets of images see the shares of classes, too: where the real images have
    these classes in unequal shares, the labels have the same, and nearly so has any beginning.
    """
    counts = np.bincount(dataset.labels, minlength=dataset.num_classes)
    if len(counts) != classes or counts.max() <= EQUAL_SHARES * counts.min():
        return range(max(classes, 1))
    # The images of each class are spread evenly over the way from 0 to 1, no two classes alike.
    places = [(np.arange(n) + (k + 0.5) / classes) / n for k, n in enumerate(counts) if n]
    return np.repeat(np.arange(classes), counts)[np.argsort(np.concatenate(places))].tolist()
