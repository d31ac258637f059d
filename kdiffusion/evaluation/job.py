"""One evaluation from its settings: what is checked before images are drawn, and what comes out."""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .evaluation import FORMAT_VERSION, check_measures, evaluate
from .features import FEATURES
from .judge import find_judge, load_judge
from .network_measures import FEWEST_IMAGES, measure_network
from .reader import OF_JUDGE, Reader, make_reader
from .real_images import (
    RealImages,
    SavedStatistics,
    load_statistics,
    read_real_images,
    save_statistics,
)
from .report import report, table

if TYPE_CHECKING:
    from kdiffusion.diffusion.denoiser import Denoiser
    from kdiffusion.evaluation.image_sets import ImageSet
    from kdiffusion.evaluation.labelled_images import LabelledImages


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """What a user asks of an evaluation; the fields are the options of the command.

    Args:
        measures: keys of `MEASURES`, or None for all that can be taken.
        features: as for `make_reader`; None for the judge's, or `random_conv` without one.
        feature_size: int or None, of an ONNX network of features.
        feature_range: (low, high) of its input.
        feature_output: str or None, the name of its output.
        judge: name or path of a judge; None for the one of the data set, if it has one.
        seed: int. Of subsets.
    """

    measures: tuple[str, ...] | None = None
    features: str | None = None
    feature_size: int | None = None
    feature_range: tuple[float, float] = (0.0, 255.0)
    feature_output: str | None = None
    judge: str | None = None
    seed: int = 0

    def prepare(
        self,
        image_shape: tuple[int, int, int],
        class_names: Sequence[str] | None,
        real: LabelledImages | Path,
        progress: bool = True,
    ) -> Prepared:
        """Reads the real side, and refuses what does not fit it.

        Args:
            image_shape: of the images to be evaluated.
            class_names: tuple of str, what their labels mean; None where that isn't known: then
                label i is the data set's i-th class. A single one, where the data set has several,
                is of images without labels.
            real: ImageDataset, or the path of a file of statistics.
            progress: bool. Whether to show bars.

        Returns:
            Prepared.
        """
        dataset = None if isinstance(real, Path) else real
        # A network without classes, such as an imported one: its one label says nothing.
        is_unlabelled = dataset is not None and len(class_names or ()) == 1 != dataset.num_classes
        class_names = None if is_unlabelled else class_names
        judge = self._judge(image_shape, class_names, dataset)
        names = _class_names(class_names, dataset, judge)
        _check_fit(image_shape, class_names, names, dataset, judge)
        if isinstance(real, Path) and judge is None and self.features is None:
            raise ValueError(
                f"`features` or `judge` must be given where `data` is statistics. {real} holds "
                f"those of {load_statistics(real).features or 'features that it does not name'}"
            )
        features = self.features or (OF_JUDGE if judge else "random_conv")
        reader = make_reader(
            features, judge, None if dataset is None else dataset.images, self.feature_size,
            self.feature_range, self.feature_output,
        )  # fmt: skip
        if isinstance(real, Path):
            found = load_statistics(real)
            found.check_reader(reader, image_shape)
        else:
            found = read_real_images(real, reader, progress)
        names = None if is_unlabelled else names
        return Prepared(self, reader, found, names, str(real) if dataset is None else dataset.name)

    def _judge(self, image_shape, class_names, dataset):
        if self.judge is not None:
            return load_judge(self.judge)
        if dataset is None:
            return None
        name = find_judge(dataset.name, image_shape, class_names or dataset.class_names)
        return None if name is None else load_judge(name)


@dataclasses.dataclass(frozen=True)
class Prepared:
    """An evaluation whose real side has been read.

    Attributes:
        job: Job.
        reader: Reader.
        real: RealImages or SavedStatistics.
        class_names: tuple of str; None where labels say nothing.
        data: str. What the real side is called.
    """

    job: Job
    reader: Reader
    real: RealImages | SavedStatistics
    class_names: tuple[str, ...] | None
    data: str

    def check(self, count: int, labelled: bool) -> tuple[list[str], dict[str, str]]:
        """As `check_measures`, for so many images, with labels or without."""
        labelled = labelled and self.class_names is not None
        return check_measures(self.job.measures, count, self.real, self.reader, labelled)

    def statistics_file(self) -> bytes:
        """bytes of the NPZ file with mean and covariance of the real features."""
        if not isinstance(self.real, RealImages):
            raise ValueError("`save_statistics` needs real images, and there are only statistics")
        if self.reader.name in FEATURES:
            raise ValueError(
                "`save_statistics` needs the judge's features or an ONNX network's: "
                f"{self.reader.name} are fitted to the images, so without them nothing can be "
                "compared with their statistics. "
                f"Received: features={self.reader.name!r}"
            )
        with io.BytesIO() as file:
            save_statistics(self.real, self.reader, file)
            return file.getvalue()


@dataclasses.dataclass(frozen=True)
class Result:
    """What an evaluation gives: the figures (for JSON), a table in text, a report in HTML."""

    figures: dict
    table: str
    report: str


def run_job(
    prepared: Prepared,
    images: ImageSet,
    source: str,
    held_out: str | None = None,
    denoiser: Denoiser | None = None,
    network_images: int = 0,
    progress: bool = True,
) -> Result:
    """Evaluates a set of images, and the network that drew them.

    Args:
        prepared: Prepared.
        images: ImageSet.
        source: str. Where the images come from.
        held_out: str. What is known of whether the data set's validation images were held out of
            the training; None where nothing is.
        denoiser: what drew them, a Denoiser with its `card`; None where it isn't at hand.
        network_images: int. Held-out images that the network is measured on without drawing, at
            most; 0 for none.
        progress: bool. Whether to show bars.

    Returns:
        Result.
    """
    labels = _labels(images, prepared.class_names)
    names, lacking = prepared.check(images.count, labels is not None)
    evaluation = evaluate(
        images, labels, prepared.real, prepared.reader, names, prepared.job.seed, progress
    )
    judge = prepared.reader.judge
    figures = {
        "format_version": FORMAT_VERSION,
        "source": source,
        "data": prepared.data,
        "held_out": held_out,
        "features": prepared.reader.name,
        "judge": None if judge is None else _about(judge),
        "sampler": _sampler(images.settings),
        "seed": prepared.job.seed,
        **evaluation.figures,
        "network": _measure_network(prepared, denoiser, network_images, progress),
        "not_measured": {} if prepared.job.measures else lacking,
    }
    evaluation = dataclasses.replace(evaluation, figures=figures)
    real = prepared.real.dataset.images if isinstance(prepared.real, RealImages) else None
    page = report(evaluation, images, labels, real, prepared.class_names)
    return Result(figures, table(figures), page)


def _sampler(settings):
    """What was asked of the sampler, in numbers that JSON has: an interval may end at infinity."""
    facts = ("class_names", "labels")  # of the images: their numbers are among the figures
    asked = {name: value for name, value in settings.items() if name not in facts}
    if asked.get("guidance_interval") is not None:
        ends = asked["guidance_interval"]
        asked["guidance_interval"] = [end if math.isfinite(end) else str(end) for end in ends]
    return asked


def _measure_network(prepared, denoiser, count, progress):
    if denoiser is None or count == 0 or not isinstance(prepared.real, RealImages):
        return None
    dataset, seed = prepared.real.dataset, prepared.job.seed
    most = len(dataset.validation_images)
    if most < FEWEST_IMAGES:
        return None
    chosen = np.sort(np.random.default_rng(seed).choice(most, min(count, most), replace=False))
    images, labels = dataset.validation_images[chosen], dataset.validation_labels[chosen]
    if prepared.class_names is None:  # a network of one class, which is any image's
        labels = np.zeros_like(labels)
    return measure_network(denoiser, images, labels, seed=seed, progress=progress).to_dict()


def _about(judge):

    return {"name": judge.name, "accuracy": judge.accuracy, "sha256": judge.sha256}


def _class_names(class_names, dataset, judge):
    """What labels mean: as the images say, else the data set, else the judge."""
    known = (class_names, dataset and dataset.class_names, judge and judge.class_names)
    return next((tuple(names) for names in known if names is not None), None)


def _check_fit(image_shape, class_names, names, dataset, judge):
    if dataset is not None and dataset.image_shape != tuple(image_shape):
        raise ValueError(
            f"`data` must have images of the shape {tuple(image_shape)}, as those to evaluate. "
            f"Received: {dataset.name}, {dataset.image_shape}"
        )
    if dataset is not None and class_names is not None and dataset.class_names != names:
        raise ValueError(
            f"`data` must have the classes {', '.join(names)}, as the images to evaluate. "
            f"Received: {dataset.name}, {', '.join(dataset.class_names)}"
        )
    if judge is None:
        return
    if judge.image_shape != tuple(image_shape) or judge.class_names != names:
        raise ValueError(
            f"`judge` must read images {tuple(image_shape)} of the classes {', '.join(names)}. "
            f"Received: {judge.name}, {judge.image_shape}, "
            f"{', '.join(judge.class_names)}"
        )


def _labels(images, class_names):
    """Labels as `class_names` counts them, which may have the names in another order."""
    if images.labels is None or class_names is None:
        return None
    own = images.class_names or class_names
    if np.all(images.labels == len(own)):  # of no class, all of them
        return None
    wrong = (images.labels < 0) | (images.labels >= len(own))
    if wrong.any():
        raise ValueError(
            f"The labels of {images.path} must be from 0 to {len(own) - 1}. "
            f"Received: {images.labels[wrong][0]}"
        )
    return np.array([class_names.index(name) for name in own])[images.labels]
