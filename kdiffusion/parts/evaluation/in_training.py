"""A network evaluated a few times while it is trained, on samples from the same seeds each time."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from kdiffusion.runs.tensorboard import event_writer
from kdiffusion.terminal import say

from .evaluation import evaluate, measurable
from .judge import find_judge
from .network_measures import FEWEST_IMAGES
from .real_images import Real, read_real
from .report import ROWS

if TYPE_CHECKING:
    from kdiffusion.data import ImageDataset
    from kdiffusion.diffusion.denoiser import Denoiser
    from kdiffusion.runs.config import Config
    from kdiffusion.runs.run_directory import RunDirectory

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
    real = read_real(dataset, *facts, judge=judge)
    return EvaluationInTraining(real, directory)


class EvaluationInTraining(keras.callbacks.Callback):
    """Evaluates every so many epochs, counted back from the last, for the terminal and TensorBoard.

    Args:
        real: Real, read by a judge.
        directory: `RunDirectory`.
    """

    def __init__(self, real: Real, directory: RunDirectory):
        super().__init__()
        self._real, self._directory = real, directory
        self._writer: Any = None  # opened when training begins
        self._config = directory.config
        self._epochs = self._config.optimizer.epochs
        every = self._config.evaluation.every_epochs
        self._every = every or math.ceil(self._epochs / EVALUATIONS)

    def is_due(self, epoch: int) -> bool:
        """Whether an epoch, the first of which is 1, ends with an evaluation."""
        return (self._epochs - epoch) % self._every == 0

    def on_train_begin(self, logs: Any = None) -> None:
        if self._writer is None:  # `fit` begins twice where a run resumes within an epoch
            step = self.model.step.numpy()
            self._writer = event_writer(self._directory.path, "evaluation", step)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if not self.is_due(epoch + 1):
            return
        start = time.perf_counter()
        figures = self.figures(self.model.denoiser(self._directory.card(self.model)))
        seconds = time.perf_counter() - start
        images = self._config.evaluation.images
        say(f"Epoch {epoch + 1}, evaluated on {images:,} samples in {seconds:.0f} s:")
        for name, value in figures.items():
            title, better, _ = ROWS[name]
            say(f"  {value:8.3g}  {title} (better: {better})")
        with self._writer.as_default(step=self.model.step.numpy()):
            for name, value in {**figures, "seconds": seconds}.items():
                tf.summary.scalar(f"evaluation/{name}", np.float32(value))
        self._writer.flush()  # a checkpoint follows, and says that this is done

    def figures(self, denoiser: Denoiser, progress: bool = True) -> dict[str, float]:
        """Those of `ROWS` that so many images can be measured by (docs/evaluation.md)."""
        images = self._config.evaluation.images
        possible, _ = measurable(None, images, True, self._real)
        found = evaluate(
            denoiser, self._real, count=images,
            measures=[name for name in MEASURES if name in possible],
            network_images=images, seed=self._config.run.seed, progress=progress,
        )  # fmt: skip
        found |= found["network"]
        return {name: found[name] for name in ROWS if found.get(name) is not None}
