"""The table of measures: each takes what was read of samples and of real images to numbers."""

import dataclasses
from collections.abc import Callable

import numpy as np

from .distances import (
    copies,
    frechet_distance,
    gaussian_of,
    kernel_distance,
    nearest,
    precision_and_recall,
)
from .judge import in_batches
from .real_images import Real

# Precision and recall depend on how many images there are: the papers compare
# 10,000 of each, and we take as many of each as there are, up to that.
MOST_NEIGHBOURS = 10_000
KERNEL_SUBSETS, KERNEL_SUBSET_SIZE = 100, 1000
NEAREST = "nearest"  # beside the figures of `copies`, for the report: indices and distances


@dataclasses.dataclass(frozen=True)
class Samples:
    """What was read of the images to measure.

    Attributes:
        images: uint8 array `[N, H, W, C]`.
        features: float32 array `[N, D]`.
        classes: int array `[N]`, as the judge reads them; None without one.
        labels: int array `[N]`, the classes asked for; None if unknown.
        seed: int. Of subsets that measures take.
    """

    images: np.ndarray
    features: np.ndarray
    classes: np.ndarray | None = None
    labels: np.ndarray | None = None
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class Measure:
    """A row of `MEASURES`.

    Attributes:
        compute: function of (Samples, Real) that gives a dict of plain numbers, lists and dicts.
        least: function of the number of features D: the fewest images, samples and real ones, that
            it makes sense with.
        by_judge: bool. Whether it needs a judge, and labels.
    """

    compute: Callable[[Samples, Real], dict]
    least: Callable[[int], int]
    by_judge: bool = False


def _frechet(samples, real):
    """With what the distance would be for ever more images (Chong & Forsyth 2020)."""
    features, seed = samples.features, samples.seed
    whole = frechet_distance(gaussian_of(features), real.gaussian)
    count, dimensions = features.shape
    extrapolated = None
    if count // 2 > dimensions:
        # The bias falls as 1 / N: F(N) = F + c / N, so that F = 2 F(N) - F(N / 2).
        order = np.random.default_rng(seed).permutation(count)
        halves = [
            frechet_distance(gaussian_of(features[np.sort(half)]), real.gaussian)
            for half in (order[: count // 2], order[count // 2 :])
        ]
        extrapolated = 2.0 * whole - float(np.mean(halves))
    return {"frechet_distance": whole, "frechet_distance_extrapolated": extrapolated}


def _kernel(samples, real):
    most = max(len(samples.features), len(real.features))
    size = min(KERNEL_SUBSET_SIZE, len(samples.features), len(real.features))
    estimates = kernel_distance(
        samples.features, real.features, KERNEL_SUBSETS, size, seed=samples.seed
    )
    return {
        "kernel_distance": float(estimates.mean()),
        # Of all images there is one subset, and no spread.
        "kernel_distance_sd": float(estimates.std()) if size < most else None,
    }


def _precision_recall(samples, real):
    """With standard errors as of shares of independent images, the balls being given."""
    count = min(len(samples.features), len(real.features), MOST_NEIGHBOURS)
    rng = np.random.default_rng(samples.seed)
    subsets = [
        each[np.sort(rng.choice(len(each), count, replace=False))]
        for each in (real.features, samples.features)
    ]
    found: dict[str, float] = {}
    for name, value in zip(("precision", "recall"), precision_and_recall(*subsets), strict=True):
        found |= {name: value, f"{name}_standard_error": _standard_error(value, count)}
    return found


def _share_as_asked(samples, real):
    """How often the judge reads the class that was asked for, in all and by class.

    A class that was never asked for has None. The confusion matrix is `[asked][read]`, in numbers
    of images.
    """
    labels, number = samples.labels, len(real.class_names)
    confusion = np.bincount(labels * number + samples.classes, minlength=number**2)
    confusion = confusion.reshape(number, number)
    asked, right = confusion.sum(axis=1), confusion.diagonal()
    share = float(right.sum() / len(labels))
    return {
        "share_as_asked": share,
        "share_as_asked_standard_error": _standard_error(share, len(labels)),
        "share_by_class": {
            name: None if count == 0 else float(hits / count)
            for name, hits, count in zip(real.class_names, right, asked, strict=True)
        },
        "confusion": confusion.tolist(),
    }


def _standard_error(share, count):
    """With one hit and one miss more (Laplace): of a share of 0 or 1 it isn't 0, too."""
    likely = (share * count + 1.0) / (count + 2.0)
    return float(np.sqrt(likely * (1.0 - likely) / count))


def _copies(samples, real):
    mirrored = None
    if real.held_out_mirrored is not None:
        mirrored, _ = real.reader(samples.images, mirrored=True)
    found = nearest_of_both(samples.features, mirrored, real.features)
    held_out = nearest_of_both(real.held_out, real.held_out_mirrored, real.features)
    return {**copies(found[1], held_out[1]), NEAREST: found}


def nearest_of_both(
    features: np.ndarray, mirrored: np.ndarray | None, among: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """As `nearest`, of images as they are or mirrored, whichever is nearer."""
    ways = [nearest(each, among) for each in (features, mirrored) if each is not None]
    indices, distances = (np.stack(each) for each in zip(*ways, strict=True))
    best = distances.argmin(axis=0), np.arange(len(features))
    return indices[best], distances[best]


def _grain(samples, real):
    return _mean("grain_levels", grain_levels, samples.images)


def _saturation(samples, real):
    is_grey = samples.images.shape[-1] == 1
    return {} if is_grey else _mean("saturation", saturation, samples.images)


def _mean(name, function, images):
    """The mean of a number of each image, with its standard error."""
    (values,) = in_batches(lambda batch: [function(batch)], images)
    error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
    return {name: float(values.mean()), f"{name}_standard_error": error}


def grain_levels(images: np.ndarray) -> np.ndarray:
    """The standard deviation of the grain in each image (Immerkaer 1996, "Fast Noise Variance").

    Fine texture and edges count as grain, so images are compared with real ones; blur lowers it.

    Args:
        images: uint8 array `[N, H, W, C]`, of 3 pixels a side at least.

    Returns:
        float64 array `[N]`, in levels of 255. Of Gaussian noise on a flat image, its standard
        deviation.
    """
    # Grain alone is left of what is flat, or rises evenly across or down (equation 1).
    response = np.diff(np.diff(np.asarray(images, np.float32), 2, axis=1), 2, axis=2)
    # A sum by these weights has 6 times the noise's deviation; the mean size of a normal variable
    # is its deviation times sqrt(2 / pi).
    return np.sqrt(np.pi / 2) / 6 * np.abs(response).mean(axis=(1, 2, 3), dtype=np.float64)


def saturation(images: np.ndarray) -> np.ndarray:
    """How colourful images are: the mean saturation (of HSV) of the pixels of each.

    Args:
        images: uint8 array `[N, H, W, 3]`.

    Returns:
        float64 array `[N]`, from 0, grey, to 1.
    """
    highest, lowest = (each(images, axis=-1).astype(np.float64) for each in (np.max, np.min))
    return ((highest - lowest) / np.maximum(highest, 1)).mean(axis=(1, 2))


MEASURES = {
    # A covariance of fewer images is singular, and the distance far too large.
    "frechet": Measure(_frechet, lambda dimensions: dimensions + 1),
    "kernel": Measure(_kernel, lambda _: 100),  # fewer leave mostly noise
    # The balls around fewer images are larger: precision and recall come out too high.
    "precision_recall": Measure(_precision_recall, lambda _: 500),
    "share_as_asked": Measure(_share_as_asked, lambda _: 1, by_judge=True),
    "grain": Measure(_grain, lambda _: 1),
    "saturation": Measure(_saturation, lambda _: 1),
    "copies": Measure(_copies, lambda _: 1),
}
