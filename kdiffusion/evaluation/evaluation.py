"""From drawn images and real ones to every figure of an evaluation."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from .grain import grain_of_all
from .measures import FOUND, MEASURES, Drawn
from .reader import chunks
from .real_images import RealImages

if TYPE_CHECKING:
    from kdiffusion.evaluation.reader import Reader
    from kdiffusion.evaluation.real_images import SavedStatistics

FORMAT_VERSION = 1  # of what `evaluation.json` holds
# What a reader of evaluation.json may count on finding; null where it could not be measured.
KEYS = (
    "images", "frechet_distance", "kernel_distance", "precision", "recall", "density", "coverage",
    "share_as_asked",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What was measured, and what the report shows of it.

    Attributes:
        figures: dict, as in evaluation.json.
        copies: Copies, or None where the real images are not there.
        drawn: Drawn.
    """

    figures: dict
    copies: object
    drawn: Drawn


def check_measures(
    names: Sequence[str] | None,
    count: int,
    real: RealImages | SavedStatistics,
    reader: Reader,
    labelled: bool,
) -> tuple[list[str], dict[str, str]]:
    """Which measures can be taken; refuses those that make no sense with so few images.

    Called before images are drawn, which may take hours.

    Args:
        names: keys of `MEASURES`, or None for all that can be taken.
        count: int. Of the images.
        real: RealImages or SavedStatistics.
        reader: Reader.
        labelled: bool. Whether it is known what was asked for.

    Returns:
        (list of names, dict from the name of each that can't be taken to the reason).

    Raises:
        ValueError: a measure that is not known, that lacks what it needs although it was asked for,
            or that needs more images: says how many, and what fewer would do.
    """
    unknown = sorted(set(names or ()) - set(MEASURES))
    if unknown or (names is not None and not names):
        raise ValueError(
            f"`measures` must be some of {', '.join(MEASURES)}. Received: {', '.join(unknown)}"
        )
    dimensions = len(real.statistics.mean)
    lacking = {
        name: reason
        for name, measure in MEASURES.items()
        if (reason := _lacks(measure, real, reader, labelled))
    }
    for name in names or ():
        if name in lacking:
            raise ValueError(f"`measures` cannot include {name}: {lacking[name]}")
    possible = [name for name in names or MEASURES if name not in lacking]
    if not possible:
        raise ValueError(f"Nothing can be measured: {'; '.join(lacking.values())}")
    few = [name for name in possible if count < MEASURES[name].least(dimensions)]
    if few:
        _refuse_few(few, possible, count, real, dimensions)
    return possible, lacking


def _lacks(measure, real, reader, labelled):
    if measure.by_judge and reader.judge is None:
        return "there is no judge of this data set; name one by `--judge`"
    if measure.by_judge and not labelled:
        return "the images have no labels, so it is not known what was asked for"
    if not isinstance(real, RealImages):
        if measure.by_statistics:
            return None
        return "real images are needed, and there are only statistics of some"
    least = measure.least(len(real.statistics.mean))
    if len(real.features) < least:
        return f"it needs {least} real images, as {measure.why}, and there are {len(real.features)}"
    return None


def _refuse_few(few, possible, count, real, dimensions):
    needs = "; ".join(
        f"{name} needs {MEASURES[name].least(dimensions)}, as {MEASURES[name].why}" for name in few
    )
    bias = ""
    # Of the images that the distance is taken to, some lie nearer than a perfect model's would.
    if (
        "frechet" in few
        and isinstance(real, RealImages)
        and 2 <= count <= len(real.held_out_features)
    ):
        some = np.random.default_rng(0).choice(len(real.held_out_features), count, replace=False)
        perfect = Drawn(real.held_out_features[np.sort(some)], None, None, None, ())
        value = MEASURES["frechet"].compute(perfect, real)["frechet_distance"]
        bias = f". As many held-out images are at a Fréchet distance of {value:.4g}, not 0"
    others = [name for name in possible if name not in few]
    instead = f", or choose others: `--measures {' '.join(others)}`" if others else ""
    raise ValueError(
        f"`images` must be more for these measures: {needs}{bias}. Draw more{instead}. "
        f"Received: images={count}"
    )


def evaluate(
    images: Any,
    labels: np.ndarray | None,
    real: RealImages | SavedStatistics,
    reader: Reader,
    names: Sequence[str],
    seed: int = 0,
    progress: bool = True,
) -> Evaluation:
    """Measures a set of images.

    Args:
        images: ImageSet.
        labels: int array `[N]`, what was asked for, as the judge counts classes; or None.
        real: RealImages or SavedStatistics.
        reader: Reader, the one that read `real`.
        names: keys of `MEASURES`, as `check_measures` gives them.
        seed: int. Of the subsets that measures take.
        progress: bool. Whether to show bars.

    Returns:
        Evaluation. Its figures hold those of held-out real images, scored as if they were drawn, at
        `real`: what a perfect model would reach.
    """
    start = time.perf_counter()
    with_images = isinstance(real, RealImages)
    flip = with_images and real.dataset.horizontal_flip and "copies" in names
    features, readings = reader.read_all(
        images.read(), images.count, "Features of drawn images", progress=progress
    )
    mirrored = None
    if flip:
        mirrored, _ = reader.read_all(
            images.read(), images.count, "Features, mirrored", True, progress
        )
    class_names = () if reader.judge is None else reader.judge.class_names
    grain = grain_of_all(images.read()) if "grain" in names else None
    drawn = Drawn(features, mirrored, readings, labels, class_names, seed, grain)
    figures = {**dict.fromkeys(KEYS), "images": images.count}
    figures |= _measure(names, drawn, real, "Measures", progress)
    copies = figures.pop(FOUND, None)
    figures["real"] = None
    if with_images:
        figures["real"] = _measure_held_out(names, len(features), real, class_names, seed, progress)
    figures["seconds"] = round(time.perf_counter() - start, 1)
    return Evaluation(figures, copies, drawn)


def _measure(names, drawn, real, description, progress):
    figures = {}
    for name in tqdm(names, desc=description, unit="measure", disable=not progress):
        figures |= MEASURES[name].compute(drawn, real)
    return figures


def _measure_held_out(names, count, real, class_names, seed, progress):
    """Held-out images as if drawn: as many, or as there are; measures that need more are left."""
    available = len(real.held_out_features)
    chosen = np.arange(available)
    if count < available:
        chosen = np.sort(np.random.default_rng(seed).choice(available, count, replace=False))
    drawn = Drawn(
        real.held_out_features[chosen],
        None,
        None if real.held_out_readings is None else np.asarray(real.held_out_readings)[chosen],
        np.asarray(real.dataset.validation_labels)[chosen].astype(np.int64),
        class_names,
        seed,
        grain_of_all(chunks(real.dataset.validation_images[chosen])) if "grain" in names else None,
    )
    dimensions = drawn.features.shape[1]
    usable = [
        name
        for name in names
        if name != "copies" and MEASURES[name].least(dimensions) <= len(chosen)
    ]
    figures = {"images": len(chosen)}
    return figures | _measure(usable, drawn, real, "Measures of held-out images", progress)
