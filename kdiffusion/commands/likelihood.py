"""`python -m kdiffusion likelihood ARTIFACT`: how well a model explains held-out images, in bits.

It needs the data set: scikit-learn for the digits, TensorFlow for a TFDS name, nothing more for a
folder of images. The model runs in its own runtime.
"""

import time
from pathlib import Path

import numpy as np

from kdiffusion.artifacts import load_denoiser
from kdiffusion.data.loading import load_as_split
from kdiffusion.diffusion.likelihood import variational_bound
from kdiffusion.diffusion.sampling_options import VarianceName

from .inputs import Artifact, Trust


def main(
    artifact: Artifact,
    images: int = 100,
    steps: int | None = None,
    variance: VarianceName = "fixed_large",
    data: str | None = None,
    directory: Path | None = None,
    seed: int = 0,
    batch_size: int = 64,
    trust: Trust = False,
) -> None:
    """Bounds the bits per dimension of held-out images (Ho et al. 2020, eq. 5).

    Prints the bound and its terms L_T, L_1 .. L_T-1 and L_0 (for 8-bit pixels).

    Args:
        artifact: an exported file or folder, such as denoiser.onnx; or a pretrained model.
        images: number of held-out images, at least 2, spread over the classes; all of them if
            there are fewer.
        steps: sampling steps; fewer than the T of the training give the bound of a shorter chain.
            By default T.
        variance: variance of each step; fixed_large gives the tighter bound with many steps.
        data: name of the data set, or a folder with a sub-folder for each class. By default, what
            the model was trained on.
        directory: folder of the images, or TFDS's data directory.
        seed: seed of the first image's noise; the next ones have seed + 1, seed + 2, ...
        batch_size: images per batch. It doesn't change the bound.
    """
    denoiser = load_denoiser(artifact, trust)
    dataset, origin = _load(denoiser.card, data, directory)
    images = min(images, len(dataset.validation_images))
    rows = spread_over_classes(dataset.validation_labels, images)
    pixels, labels = dataset.validation_images[rows], dataset.validation_labels[rows]
    start = time.perf_counter()
    bound = variational_bound(
        denoiser, pixels, labels, range(seed, seed + len(pixels)),
        steps=steps, variance=variance, batch_size=batch_size,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    print(_report(bound))
    print(f"{len(pixels)} images, {len(bound.timesteps)} steps, {variance}, in {seconds:.1f} s.")
    print(origin)


def _load(card, data, directory):
    """The data set split as for the training, and whether its images were held out of it."""
    dataset, origin = load_as_split(card, data, directory)
    if (dataset.image_shape, dataset.class_names) != (card.image_shape, card.class_names):
        raise ValueError(
            f"`data` must have the model's images {card.image_shape} and its classes "
            f"{', '.join(card.class_names)}. Received: {dataset.name}, {dataset.image_shape}, "
            f"{', '.join(dataset.class_names)}"
        )
    return dataset, origin


def spread_over_classes(labels: np.ndarray, count: int) -> np.ndarray:
    """Rows of `count` labels among which each class has its share, to within one.

    Args:
        labels: int array `[N]`.
        count: int, 1 .. N.

    Returns:
        int array `[count]`.
    """
    by_class = np.argsort(labels, kind="stable")
    return by_class[np.arange(count) * len(labels) // count]


def _report(bound):
    parts = {
        "at most": bound.total,
        "L_T": bound.prior,
        "L_1 .. L_T-1": bound.terms[:, :-1].sum(axis=1),
        "L_0": bound.terms[:, -1],
    }
    lines = ["bits per dimension  mean    standard error"]
    for name, values in parts.items():
        error = values.std(ddof=1) / np.sqrt(len(values))
        lines.append(f"{name:18}  {values.mean():.4f}  {error:.4f}")
    return "\n".join(lines)
