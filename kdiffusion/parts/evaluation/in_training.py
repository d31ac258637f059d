"""A network evaluated a few times while it is trained, on samples from the same seeds each time."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kdiffusion.data import ImageDataset
from kdiffusion.diffusion.card import DenoiserCard
from kdiffusion.diffusion.denoiser import Denoiser
from kdiffusion.runs.config import Config
from kdiffusion.runs.run_directory import RunDirectory
from kdiffusion.runs.tensorboard import event_writer
from kdiffusion.terminal import say
from kdiffusion.training.diffusion_model import DiffusionModel

from .evaluation import evaluate, measurable
from .judge import find_judge
from .network_measures import FEWEST_IMAGES
from .real_images import read_real
from .report import ROWS

EVALUATIONS = 4  # of a run, where `every_epochs` is None
MEASURES = ("share_as_asked", "frechet", "kernel", "precision_recall", "grain")


def make_callback(
    config: Config, dataset: ImageDataset, directory: RunDirectory
) -> EvaluationInTraining | None:
    """The callback that evaluates a run; None where none is wanted or no judge reads the data."""
    if config.evaluation.every_epochs == 0:
        return None
    facts, judge = (dataset.image_shape, dataset.class_names), config.evaluation.judge
    is_read = judge or find_judge(dataset.name, *facts)
    if not is_read or len(dataset.validation_images) < FEWEST_IMAGES:
        say("Without evaluation: no classifier of these images; --evaluation.judge names one.")
        return None
    epochs, asked = config.optimizer.epochs, config.evaluation
    every = asked.every_epochs or math.ceil(epochs / EVALUATIONS)
    own = (dataset, directory.path, asked.images, every, epochs, judge)
    return EvaluationInTraining(*own, directory.card, config.run.seed)


class EvaluationInTraining(keras.callbacks.Callback):
    """Evaluates every so many epochs, counted back from the last, for the terminal and TensorBoard.

    Args:
        dataset: `ImageDataset` that the model is trained on.
        directory: path. Its `tensorboard/` gets the log.
        images: int. To sample, and held-out images to measure on. Defaults to `500`.
        every_epochs: int. Defaults to `1`.
        epochs: int. Of the whole training; by default, what `fit` is given.
        judge: str. Name or ONNX file of the classifier; by default, the data set's own.
        card: function of the model that gives the card to sample by; by default, the model's own.
        seed: int. Of the first sample. Defaults to `0`.

    Raises:
        ValueError: no judge reads the data set.
    """

    def __init__(
        self,
        dataset: ImageDataset,
        directory: str | os.PathLike,
        images: int = 500,
        every_epochs: int = 1,
        epochs: int | None = None,
        judge: str | None = None,
        card: Callable[[DiffusionModel], DenoiserCard] | None = None,
        seed: int = 0,
    ):
        super().__init__()
        self._real = read_real(dataset, dataset.image_shape, dataset.class_names, judge=judge)
        self._directory, self._images, self._seed = Path(directory), images, seed
        self._every, self._epochs = every_epochs, epochs
        self._card = card or (lambda model: model.card(class_names=dataset.class_names))
        self._writer: Any = None  # opened when training begins

    def is_due(self, epoch: int) -> bool:
        """Whether an epoch, the first of which is 1, ends with an evaluation."""
        return ((self._epochs or self.params["epochs"]) - epoch) % self._every == 0

    def on_train_begin(self, logs: Any = None) -> None:
        if self._writer is None:  # `fit` begins twice where a run resumes within an epoch
            step = self.model.step.numpy()
            self._writer = event_writer(self._directory, "evaluation", step)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if not self.is_due(epoch + 1):
            return
        start = time.perf_counter()
        denoiser = self.model.denoiser(self._card(self.model))
        figures = self.figures(denoiser, progress=sys.stderr.isatty())  # no bars in a log file
        seconds = time.perf_counter() - start
        say(f"Epoch {epoch + 1}, evaluated on {self._images:,} samples in {seconds:.0f} s:")
        for name, value in figures.items():
            title, better, _ = ROWS[name]
            say(f"  {value:8.3g}  {title} (better: {better})")
        with self._writer.as_default(step=self.model.step.numpy()):
            for name, value in {**figures, "seconds": seconds}.items():
                tf.summary.scalar(f"evaluation/{name}", np.float32(value))
        self._writer.flush()  # a checkpoint follows, and says that this is done

    def figures(self, denoiser: Denoiser, progress: bool = True) -> dict[str, float]:
        """Those of `ROWS` that so many images can be measured by (docs/evaluation.md)."""
        possible, _ = measurable(None, self._images, True, self._real)
        found = evaluate(
            denoiser, self._real, count=self._images,
            measures=[name for name in MEASURES if name in possible],
            network_images=self._images, seed=self._seed, progress=progress,
        )  # fmt: skip
        found |= found["network"]
        return {name: found[name] for name in ROWS if found.get(name) is not None}
