"""The real side of an evaluation: a data set's features, or saved statistics of some."""

from __future__ import annotations

import dataclasses
import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .cache import cached, digest
from .distances import GaussianStatistics
from .neighbours import nearest
from .reader import chunks

if TYPE_CHECKING:
    from kdiffusion.evaluation.labelled_images import LabelledImages
    from kdiffusion.evaluation.reader import Reader


@dataclasses.dataclass(frozen=True)
class RealImages:
    """Features and readings of a data set's images; those of the training part lie on disk.

    Attributes:
        dataset: ImageDataset.
        features: float32 array `[N, D]` of the training images.
        statistics: GaussianStatistics of them.
        held_out_features: float32 array `[M, D]` of the validation images.
        held_out_mirrored: the same of their mirror images; None where a mirror image is no example
            of its class.
        held_out_readings: int array `[M]`, what the judge reads; None without one.
    """

    dataset: LabelledImages
    features: np.ndarray
    statistics: GaussianStatistics
    held_out_features: np.ndarray
    held_out_mirrored: np.ndarray | None
    held_out_readings: np.ndarray | None

    def nearest_to(
        self, features: np.ndarray, mirrored: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The nearest training image of each of some images, as they are or mirrored.

        Args:
            features: array `[K, D]`.
            mirrored: the same of the mirror images, or None.

        Returns:
            (int array `[K]`, float64 array `[K]`): indices of training images, and distances.
        """
        ways = [each for each in (features, mirrored) if each is not None]
        found = [nearest(each, self.features) for each in ways]
        indices, distances = (np.stack(each) for each in zip(*found, strict=True))
        best = distances.argmin(axis=0), np.arange(len(features))
        return indices[best], distances[best]

    @property
    def class_counts(self) -> np.ndarray:
        """int array `[C]`: how many of the training images each class has."""
        return np.bincount(self.dataset.labels, minlength=self.dataset.num_classes)

    @functools.cached_property
    def held_out_distances(self) -> np.ndarray:
        """float64 array `[M]`: of the held-out images to the nearest training image."""
        return self.nearest_to(self.held_out_features, self.held_out_mirrored)[1]


@dataclasses.dataclass(frozen=True)
class SavedStatistics:
    """Mean and covariance of features, from a file: all that a Fréchet distance needs.

    Attributes:
        path: Path.
        statistics: GaussianStatistics.
        class_counts: int array `[C]`, how many of the images each class has; None where the file
            doesn't say it, as `features` and `identity`.
        features: str. What the features are called.
        identity: str. The digest of a `Reader`'s `features_identity`.
    """

    path: Path
    statistics: GaussianStatistics
    class_counts: np.ndarray | None
    features: str | None
    identity: str | None

    def check_reader(self, reader: Reader, image_shape: tuple[int, int, int]) -> None:
        """Refuses a reader of other features, of images of that shape, by a ValueError."""
        if self.identity not in (None, digest(reader.features_identity)):
            raise ValueError(
                f"{self.path} holds statistics of other features: {self.features}, where "
                f"{reader.name} are asked for, or of another version of them"
            )
        dimensions = reader(np.zeros((1, *image_shape), np.uint8))[0].shape[1]
        if dimensions != len(self.statistics.mean):
            raise ValueError(
                f"{self.path} holds statistics of {len(self.statistics.mean)} features, where "
                f"{reader.name} gives {dimensions}: they are of other features"
            )


def read_real_images(dataset: LabelledImages, reader: Reader, progress: bool = False) -> RealImages:
    """Reads a data set, or finds what was read of it before.

    What was read is kept in `cache_folder()`, known by the content of the images and by the
    identity of what read it.

    Args:
        dataset: ImageDataset.
        reader: Reader.
        progress: bool. Whether to show bars.

    Returns:
        RealImages.
    """

    def read(images, what, mirrored=False, with_readings=False):
        kind = "mirrored" if mirrored else "as they are"
        # What a judge reads beside a network's features isn't computed where nothing asks for it.
        alone = not with_readings and reader.extract is not None
        reads, found = dataclasses.replace(reader, judge=None) if alone else reader, {}

        @functools.cache
        def key(identity):
            return digest(images, identity, kind)

        def run(part):
            if not found:
                found["features"], found["readings"] = reads.read_all(
                    chunks(images), len(images), f"Features of {what}", mirrored, progress
                )
            return found[part]

        features = cached(f"{key(reader.features_identity)}-features", lambda: run("features"))
        if reader.judge is None or not with_readings:
            return features, None
        return features, cached(f"{key(reader.identity)}-readings", lambda: run("readings"))

    features, _ = read(dataset.images, "training images")
    held_out, readings = read(dataset.validation_images, "held-out images", with_readings=True)
    mirrored = None
    if dataset.horizontal_flip:
        mirrored, _ = read(dataset.validation_images, "held-out images, mirrored", mirrored=True)
    statistics = statistics_of(features)
    return RealImages(dataset, features, statistics, held_out, mirrored, readings)


def statistics_of(features: np.ndarray) -> GaussianStatistics:
    """GaussianStatistics of an array `[N, D]`, taken in pieces."""
    statistics = GaussianStatistics()
    for piece in chunks(features):
        statistics.add(piece)
    return statistics


def save_statistics(real: RealImages, reader: Reader, file: Any) -> None:
    """Writes mean and covariance of the training images as other tools read them: NPZ, mu, sigma.

    And what the features are, and how many images each class has.

    Args:
        real: RealImages.
        reader: Reader that read them.
        file: a binary file that is open for writing.
    """
    np.savez(
        file, mu=real.statistics.mean, sigma=real.statistics.covariance,
        images=real.statistics.count, features=reader.name,
        identity=digest(reader.features_identity), class_counts=real.class_counts,
    )  # fmt: skip


def load_statistics(path: str | os.PathLike) -> SavedStatistics:
    """Reads mean and covariance from an NPZ file, ours or another tool's.

    Args:
        path: path of a file with `mu` `[D]` and `sigma` `[D, D]`.

    Returns:
        SavedStatistics.

    Raises:
        ValueError: the file cannot be read, or lacks one of them.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files if name in _KNOWN}
    except Exception as error:  # zipfile's, zlib's and NumPy's own, by what is damaged
        raise ValueError(f"{path} is not a whole NPZ file: {error}") from error
    mean, covariance = found.get("mu"), found.get("sigma")
    if mean is None or covariance is None or covariance.shape != 2 * mean.shape or mean.ndim != 1:
        shapes = {name: array.shape for name, array in found.items()}
        raise ValueError(f"{path} must hold `mu` [D] and `sigma` [D, D]. Received: {shapes}")
    count = int(found["images"]) if "images" in found else None
    counts = found.get("class_counts")
    if counts is not None and not (
        counts.ndim == 1 and counts.dtype.kind in "iu" and np.all(counts >= 0) and counts.any()
    ):
        raise ValueError(
            f"{path} must hold how many images each class has as `class_counts`, integers [C]. "
            f"Received: {counts.dtype} of shape {counts.shape}"
        )
    features, identity = (
        str(found[name]) if name in found else None for name in ("features", "identity")
    )
    statistics = GaussianStatistics.of(mean, covariance, count)
    return SavedStatistics(Path(path), statistics, counts, features, identity)


_KNOWN = ("mu", "sigma", "images", "features", "identity", "class_counts")
