"""From samples and real images to every figure of an evaluation."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from kdiffusion.data import ImageDataset
from kdiffusion.diffusion.denoiser import Denoiser
from kdiffusion.diffusion.sampling import sample
from kdiffusion.images import to_uint8

from .image_sets import ImageSet, chosen_rows
from .measures import MEASURES, NEAREST, Samples
from .network_measures import FEWEST_IMAGES, measure_network
from .real_images import Real, conditions_to_sample, read_real

IMAGES, NETWORK_IMAGES = 5000, 500  # at most, unless given


def evaluate(
    source: Denoiser | ImageSet,
    data: ImageDataset | Real,
    *,
    count: int | None = None,
    measures: Sequence[str] | None = None,
    network_images: int = NETWORK_IMAGES,
    seed: int = 0,
    progress: bool = True,
    **reading: Any,
) -> dict[str, Any]:
    """Measures samples against real images: the dictionary that evaluation.json holds.

    Args:
        source: a Denoiser with its card, such as `load_denoiser` gives; or samples, an `ImageSet`.
        data: ImageDataset, or what `read_real` made of one.
        count: int. Samples of a Denoiser; as many as suit the data set if not given.
        measures: keys of `MEASURES`; all that can be taken if not given.
        network_images: int. Held-out images to measure a Denoiser on without sampling; 0 for none.
        seed: int. Of the first sample, and of the subsets that measures take.
        progress: bool. Whether to show bars.
        **reading: the fields of `Reading`.
    """
    denoiser = None if isinstance(source, ImageSet) else source
    facts = source if isinstance(source, ImageSet) else source.card
    if not isinstance(data, Real):
        data = read_real(data, facts.image_shape, facts.class_names, progress, **reading)
    if not isinstance(source, ImageSet):
        source = _sample(source, data, count, seed, progress)
    return measure(source, data, measures, seed, denoiser, network_images, progress)[0]


def _sample(denoiser, real, count, seed, progress):
    names = denoiser.card.class_names
    count = fitting_count(real) if count is None else count
    conditions = conditions_to_sample(denoiser.card, real.dataset)
    conditions = conditions[np.arange(count) % len(conditions.label)]
    pixels = sample(denoiser, conditions, range(seed, seed + count), progress=progress)
    return ImageSet(to_uint8(pixels), conditions.label, names)


def measure(
    samples: ImageSet,
    real: Real,
    measures: Sequence[str] | None = None,
    seed: int = 0,
    denoiser: Denoiser | None = None,
    network_images: int = NETWORK_IMAGES,
    progress: bool = True,
) -> tuple[dict[str, Any], tuple[np.ndarray, np.ndarray] | None]:
    """The figures of samples, and of held-out real images measured as if they were samples.

    Args:
        samples, real, measures, seed, progress, network_images: as for `evaluate`.
        denoiser: Denoiser that made the samples, to be measured without sampling too.

    Returns:
        (dict, (indices of the nearest training images, their distances) or None where `copies` was
        not measured).
    """
    labels, count = _labels(samples, real.class_names), len(samples.images)
    names, left_out = measurable(measures, count, labels is not None, real)
    judge = real.reader.judge
    features, classes = real.reader(samples.images, "samples", progress)
    seen = Samples(samples.images, features, classes, labels, seed)
    found = _compute(names, seen, real, progress)
    nearest = found.pop(NEAREST, None)
    return {
        "source": "samples",
        "data": real.dataset.name,
        "held_out": None,
        "features": real.reader.name,
        "judge": judge and {"name": judge.name, "accuracy": judge.accuracy, "sha256": judge.sha256},
        # What was asked of it; the numbers of the labels are among the figures.
        "sampler": {
            name: value for name, value in samples.settings.items()
            if name not in ("class_names", "labels")
        },
        "seed": seed,
        "images": count,
        **found,
        "real": _figures_of_held_out(names, count, seen, real, progress),
        "network": denoiser and network_figures(denoiser, real, network_images, seed, progress),
        "not_measured": left_out,
    }, nearest  # fmt: skip


def _compute(names, samples, real, progress):
    figures = {}
    for name in tqdm(names, desc="Measures", unit="measure", disable=not progress):
        figures |= MEASURES[name].compute(samples, real)
    return figures


def _figures_of_held_out(names, count, seen, real, progress):
    """Held-out images as if sampled: as many, or all; what needs more is left out."""
    chosen = chosen_rows(len(real.held_out), count, seen.seed)
    images, labels = real.dataset.validation_images, real.dataset.validation_labels
    samples = dataclasses.replace(
        seen,
        images=images[chosen],
        features=real.held_out[chosen],
        classes=None if real.held_out_classes is None else real.held_out_classes[chosen],
        labels=labels[chosen].astype(np.int64),
    )
    possible, _ = measurable(None, len(chosen), True, real)
    usable = [name for name in names if name in possible and name != "copies"]
    return {"images": len(chosen), **_compute(usable, samples, real, progress)}


def measurable(
    names: Sequence[str] | None, count: int, labelled: bool, real: Real
) -> tuple[list[str], dict[str, str]]:
    """The measures that can be taken of so many samples, and why the others can't be.

    Args:
        names: keys of `MEASURES` that were asked for, of which each must be possible; None for all
            that are.
        count: int. Samples.
        labelled: bool. Whether it is known which class each was to show.
        real: Real.

    Returns:
        (list of names, dict from the name of each measure that was left out to the reason).
    """
    labelled = labelled and real.class_names is not None
    reasons = {name: _reason(MEASURES[name], count, labelled, real) for name in names or MEASURES}
    left_out = {name: reason for name, reason in reasons.items() if reason}
    if names is not None and left_out:
        said = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise ValueError(f"`measures` cannot be taken: {said}")
    return [name for name in reasons if name not in left_out], left_out


def _reason(measure, count, labelled, real):
    if measure.by_judge and real.reader.judge is None:
        return "there is no judge of this data (--judge names one)"
    if measure.by_judge and not labelled:
        return "the images have no labels"
    least = measure.least(real.features.shape[1])
    if count < least:
        return f"it needs {least} samples, there are {count}"
    if len(real.features) < least:
        return f"it needs {least} real images, there are {len(real.features)}"
    return None


def fitting_count(real: Real) -> int:
    """As many samples as there are training images, 5,000 at most: more of few say no more."""
    return min(IMAGES, len(real.dataset.images))


def network_figures(
    denoiser: Denoiser, real: Real, count: int, seed: int = 0, progress: bool = True
) -> dict[str, Any] | None:
    """The network's errors on so many held-out images; None without any."""
    if min(count, len(real.dataset.validation_images)) < FEWEST_IMAGES:
        return None
    chosen = chosen_rows(len(real.dataset.validation_images), count, seed)
    images = real.dataset.validation_images[chosen]
    asked = real.dataset.asked(chosen)
    if real.class_names is None:  # a network of one class, which is any image's
        asked["label"] = np.zeros_like(asked["label"])
    return measure_network(denoiser, images, asked, seed=seed, progress=progress)


def _labels(samples, class_names):
    """Labels as `class_names` counts them, which may have the names in another order."""
    if samples.labels is None or class_names is None:
        return None
    own = samples.class_names or class_names
    if np.all(samples.labels == len(own)):  # of no class, all of them
        return None
    if samples.labels.min() < 0 or samples.labels.max() >= len(own):
        raise ValueError(
            f"The labels must be from 0 to {len(own) - 1}. "
            f"Received: {samples.labels.min()} to {samples.labels.max()}"
        )
    return np.array([class_names.index(name) for name in own])[samples.labels]
