"""The table of measures: each takes features and readings of drawn and real images to numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .distances import frechet_distance, kernel_distance
from .neighbours import Copies, density_and_coverage, precision_and_recall
from .real_images import RealImages, SavedStatistics, statistics_of

# Precision, recall, density and coverage depend on how many images there are: the papers compare
# 10,000 of each, and we take as many of each as there are, up to that.
MOST_NEIGHBOURS = 10_000
FOUND = "found"  # beside the figures of "copies": the Copies, for the report
KERNEL_SUBSETS, KERNEL_SUBSET_SIZE = 100, 1000


@dataclasses.dataclass(frozen=True)
class Drawn:
    """What was read of images that are to be judged.

    Attributes:
        features: float32 array `[N, D]`.
        mirrored: the same of their mirror images; None where those are no examples.
        readings: int array `[N]`, what the judge reads; None without one.
        labels: int array `[N]`, what was asked for, as the judge counts classes; None if unknown.
        class_names: tuple of str.
        seed: int. Of subsets that measures take.
        grain: float array `[N]`, of `grain_levels`; None where that isn't measured.
    """

    features: np.ndarray
    mirrored: np.ndarray | None
    readings: np.ndarray | None
    labels: np.ndarray | None
    class_names: tuple[str, ...]
    seed: int = 0
    grain: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Measure:
    """A row of `MEASURES`.

    Attributes:
        compute: function of (Drawn, RealImages or SavedStatistics) that gives a dict of plain
            numbers, lists and dicts (and, at `FOUND`, what the report shows).
        least: function of the number of features D: the fewest images that it makes sense with.
        why: str. What fewer images do to it.
        by_statistics: bool. Whether mean and covariance of the real features are enough.
        by_judge: bool. Whether it needs a judge, and labels.
    """

    compute: Callable[[Drawn, RealImages | SavedStatistics], dict]
    least: Callable[[int], int]
    why: str
    by_statistics: bool = False
    by_judge: bool = False


def _frechet(drawn, real):
    """With what the distance would be for ever more images (Chong & Forsyth 2020)."""
    whole = frechet_distance(statistics_of(drawn.features), real.statistics)
    count, dimensions = drawn.features.shape
    extrapolated = None
    if count // 2 > dimensions:
        # The bias falls as 1 / N: F(N) = F + c / N, so that F = 2 F(N) - F(N / 2).
        order = np.random.default_rng(drawn.seed).permutation(count)
        halves = [
            frechet_distance(statistics_of(drawn.features[np.sort(half)]), real.statistics)
            for half in (order[: count // 2], order[count // 2 :])
        ]
        extrapolated = 2.0 * whole - float(np.mean(halves))
    return {"frechet_distance": whole, "frechet_distance_extrapolated": extrapolated}


def _kernel(drawn, real):
    size = min(KERNEL_SUBSET_SIZE, len(drawn.features), len(real.features))
    estimates = kernel_distance(
        drawn.features, real.features, KERNEL_SUBSETS, size, seed=drawn.seed
    )
    return {
        "kernel_distance": float(estimates.mean()),
        "kernel_distance_sd": float(estimates.std()),
        "kernel_subsets": [KERNEL_SUBSETS, size],
    }


def _precision_and_recall(drawn, real):
    return _shares(("precision", "recall"), precision_and_recall, drawn, real)


def _density_and_coverage(drawn, real):
    found = _shares(("density", "coverage"), density_and_coverage, drawn, real)
    del found["density_standard_error"]  # it is no share
    return found


def _shares(names, measure, drawn, real):
    """With standard errors as of shares of independent images, the balls being given."""
    count = min(len(drawn.features), len(real.features), MOST_NEIGHBOURS)
    rng = np.random.default_rng(drawn.seed)
    subsets = [
        each[np.sort(rng.choice(len(each), count, replace=False))]
        for each in (real.features, drawn.features)
    ]
    found: dict[str, float] = {"neighbour_images": count}
    for name, value in zip(names, measure(*subsets), strict=True):
        found[name] = value
        found[f"{name}_standard_error"] = _standard_error(value, count)
    return found


def _share_as_asked(drawn, real):
    return shares_by_class(drawn.labels, drawn.readings, drawn.class_names)


def shares_by_class(
    labels: np.ndarray, readings: np.ndarray, class_names: Sequence[str]
) -> dict[str, Any]:
    """How often the judge reads what was asked for, in all and by class.

    Args:
        labels: int array `[N]`, what was asked for.
        readings: int array `[N]`, what was read.
        class_names: tuple of str.

    Returns:
        dict: the share with its standard error, the share by class (None where none was asked for),
        and the confusion matrix, `[asked][read]` in numbers of images.
    """
    classes = len(class_names)
    confusion = np.bincount(labels * classes + readings, minlength=classes**2)
    confusion = confusion.reshape(classes, classes)
    asked, right = confusion.sum(axis=1), confusion.diagonal()
    share = float(right.sum() / len(labels))
    return {
        "share_as_asked": share,
        "share_as_asked_standard_error": _standard_error(share, len(labels)),
        "share_by_class": {
            name: None if count == 0 else float(hits / count)
            for name, hits, count in zip(class_names, right, asked, strict=True)
        },
        "confusion": confusion.tolist(),
        "share_read": {
            name: float(count / len(labels))
            for name, count in zip(class_names, confusion.sum(axis=0), strict=True)
        },
    }


def _standard_error(share, count):
    """With one hit and one miss more (Laplace): of a share of 0 or 1 it isn't 0, too."""
    likely = (share * count + 1.0) / (count + 2.0)
    return float(np.sqrt(likely * (1.0 - likely) / count))


def _copies(drawn, real):
    indices, distances = real.nearest_to(drawn.features, drawn.mirrored)
    found = Copies(indices, distances, real.held_out_distances)
    copies = found.nearer_than_any
    return {
        "copies": copies,
        "copies_by_chance": found.nearer_by_chance,
        "copies_share": None if copies is None else copies / len(distances),
        "near_training_share": found.near_share,
        "near_training_share_by_chance": found.near_share_by_chance,
        "nearest_distance_ratio": found.median_ratio,
        FOUND: found,
    }


def _grain(drawn, real):
    count = len(drawn.grain)
    error = float(drawn.grain.std(ddof=1) / np.sqrt(count)) if count > 1 else None
    return {"grain_levels": float(drawn.grain.mean()), "grain_levels_standard_error": error}


MEASURES = {
    "frechet": Measure(
        _frechet, lambda dimensions: dimensions + 1,
        "the covariance of fewer images is singular, and the distance comes out far too large",
        by_statistics=True,
    ),
    "kernel": Measure(_kernel, lambda _: 100, "fewer images leave mostly noise, without bias"),
    "precision_recall": Measure(
        _precision_and_recall, lambda _: 500,
        "the balls around fewer images are larger, so that both come out too high",
    ),
    "density_coverage": Measure(
        _density_and_coverage, lambda _: 500,
        "coverage by fewer images comes out too low, and both are noisy",
    ),
    "share_as_asked": Measure(
        _share_as_asked, lambda _: 1, "", by_statistics=True, by_judge=True
    ),
    "grain": Measure(_grain, lambda _: 1, "", by_statistics=True),
    "copies": Measure(_copies, lambda _: 1, ""),
}  # fmt: skip
