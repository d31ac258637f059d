"""A network evaluated while it is trained: a few figures of a few images, from the same seeds."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from kdiffusion.diffusion.sampling import sample
from kdiffusion.images import to_uint8

from .class_shares import labels_in_turn
from .job import Job
from .measures import MEASURES, Drawn
from .network_measures import FEWEST_IMAGES, measure_network

if TYPE_CHECKING:
    from kdiffusion.diffusion.denoiser import Denoiser
    from kdiffusion.evaluation.labelled_images import LabelledImages

DRAWN_AT_A_TIME = 100


class EvaluationInTraining:
    """Draws images by class and measures them, and the network, as `evaluate` does.

    Made before training, it reads the real images, which takes a minute or so for CIFAR-10 once:
    what was read is cached by their content.

    Args:
        dataset: ImageDataset that is trained on.
        images: int, at least 100. How many to draw, the classes in the shares that they have in
            the data set; as many held-out images, or as there are, are what the network is
            measured on.
        judge: str or None. Name or ONNX file of a judge; None for the data set's own, if any.
        seed: int. Of the first image.
        progress: bool. Whether to show bars.

    Raises:
        ValueError: fewer images than a measure needs.
        JudgeError: a judge that is not there or reads other images.
    """

    def __init__(
        self,
        dataset: LabelledImages,
        images: int,
        judge: str | None = None,
        seed: int = 0,
        progress: bool = True,
    ):
        least = MEASURES["kernel"].least(0)
        if images < least:
            raise ValueError(
                f"`evaluation.images` must be at least {least}: {MEASURES['kernel'].why}. "
                f"Received: {images}"
            )
        if len(dataset.validation_images) < FEWEST_IMAGES:
            raise ValueError(
                "`evaluation.every_epochs` needs two held-out images to measure the network on. "
                f"Received: {dataset.name}, {len(dataset.validation_images)} held out"
            )
        job = Job(judge=judge, seed=seed)
        prepared = job.prepare(dataset.image_shape, dataset.class_names, dataset, progress)
        self._reader, self._real = prepared.reader, prepared.real
        self._dataset = dataset
        self._progress, self._seed = progress, seed
        counts = np.bincount(dataset.labels, minlength=dataset.num_classes)
        self._labels = np.resize(labels_in_turn(counts), images)
        rng, most = np.random.default_rng(seed), len(dataset.validation_images)
        self._held_out = np.sort(rng.choice(most, min(images, most), replace=False))

    def __call__(self, denoiser: Denoiser) -> dict[str, float]:
        """Evaluates a network.

        Args:
            denoiser: a Denoiser, whose card recommends the sampler.

        Returns:
            dict of floats: `share_as_asked` where there is a judge, `kernel_distance`, `structure`
            and `detail` (see docs/evaluation.md), and the `seconds` that it took.
        """
        start = time.perf_counter()
        features, readings = self._reader.read_all(
            self._draw(denoiser), len(self._labels), "Evaluating", progress=self._progress
        )
        names = () if self._reader.judge is None else self._reader.judge.card.class_names
        drawn = Drawn(features, None, readings, self._labels, names, self._seed)
        figures = {}
        if readings is not None:
            share = MEASURES["share_as_asked"].compute(drawn, self._real)
            figures["share_as_asked"] = share["share_as_asked"]
        figures["kernel_distance"] = MEASURES["kernel"].compute(drawn, self._real)[
            "kernel_distance"
        ]
        dataset = self._dataset
        network = measure_network(
            denoiser,
            dataset.validation_images[self._held_out],
            dataset.validation_labels[self._held_out],
            seed=self._seed,
            progress=self._progress,
        )
        figures |= {"structure": network.structure, "detail": network.detail}
        return figures | {"seconds": time.perf_counter() - start}

    def _draw(self, denoiser):
        for first in range(0, len(self._labels), DRAWN_AT_A_TIME):
            labels = self._labels[first : first + DRAWN_AT_A_TIME]
            seeds = self._seed + first + np.arange(len(labels))
            yield to_uint8(sample(denoiser, labels, seeds, progress=False))


def said_of(figures: Mapping[str, float]) -> str:
    """One line of what `EvaluationInTraining` found, for a terminal of 80 columns."""
    words = {"share_as_asked": "as asked", "kernel_distance": "kernel"}
    parts = [
        f"{words.get(name, name)} {value:.3g}"
        for name, value in figures.items()
        if name != "seconds"
    ]
    return f"{', '.join(parts)} ({figures['seconds']:.0f} s)"
