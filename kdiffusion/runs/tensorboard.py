"""What TensorBoard shows of a run, and the sample grids."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kdiffusion.data import ImageDataset
from kdiffusion.diffusion.card import DenoiserCard
from kdiffusion.diffusion.conditions import check_conditions
from kdiffusion.diffusion.sampling import MOST_LABELS, sample, sample_by_class
from kdiffusion.images import image_grid, save_png, to_uint8
from kdiffusion.runs.progress import StepCount
from kdiffusion.runs.run_directory import LOG, RunDirectory
from kdiffusion.terminal import working
from kdiffusion.training.diffusion_model import DiffusionModel

PER_LABEL = 4  # images of each class in a grid
CURVES = ("train", "validation")


def event_writer(directory: Path, part: str, step: int) -> tf.summary.SummaryWriter:
    """A writer of one part of the log of a run, from a step on.

    TensorBoard hides what a killed process wrote after that step, from which the run resumes.

    Args:
        directory: Path of the run's folder.
        part: str. Name of the folder in `tensorboard/`.
        step: int. The last that was trained.
    """
    writer = tf.summary.create_file_writer(str(directory / LOG / part))
    event = tf.compat.v1.Event(
        wall_time=time.time(),
        step=step + 1,
        session_log=tf.compat.v1.SessionLog(status=tf.compat.v1.SessionLog.START),
    )
    tf.raw_ops.ImportEvent(writer=writer._resource, event=event.SerializeToString())
    return writer


class TensorBoardLog(keras.callbacks.Callback):
    """Writes what TensorBoard shows of a diffusion run, but for its samples.

    Scalars of each epoch, in training and validation, and within it every `log_every_steps`, the
    learning rate, images per second, and the network's graph.

    Keras's own callback is no base for it: it hands TensorFlow Python numbers (see
    `_write_scalars`), drops an epoch's scalars unless its last step is one of every `update_freq`,
    and finds no graph to write.

    Args:
        directory: `RunDirectory`.
        count: `StepCount`.
    """

    def __init__(self, directory: RunDirectory, count: StepCount):
        super().__init__()
        self._count = count
        self._log_every_steps = directory.config.run.log_every_steps
        self._batch_size = directory.config.optimizer.batch_size
        self._writers = {part: event_writer(directory.path, part, count.now) for part in CURVES}

    def on_train_begin(self, logs: Any = None) -> None:
        if self._count.now == 0:
            function = self.model.prediction_function.get_concrete_function()
            with self._writers["train"].as_default():
                tf.summary.graph(function.graph)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch_start = time.perf_counter(), self._count.now

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._count.now % self._log_every_steps == 0:
            self._write_scalars("train", "batch", logs | self._learning_rate())
            self._flush()
        # Validation and sampling are not training: the clock stops when the last step is done.
        self._epoch_done = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if not self._count.ends_epoch:  # stopped amid it: it is written when it is whole
            return
        start_time, start_step = self._epoch_start
        images = (self._count.now - start_step) * self._batch_size
        speed = {"images_per_second": images / (self._epoch_done - start_time)}
        self._write_scalars("train", "batch", speed)
        training = {name: value for name, value in logs.items() if not name.startswith("val_")}
        validation = {name[4:]: value for name, value in logs.items() if name.startswith("val_")}
        self._write_scalars("train", "epoch", training | self._learning_rate())
        self._write_scalars("validation", "epoch", validation)
        self._flush()

    def _flush(self):
        # A checkpoint may follow: what it says is done must be in the log, too.
        for writer in self._writers.values():
            writer.flush()

    def _learning_rate(self):
        return {"learning_rate": self.model.optimizer.learning_rate}

    def _write_scalars(self, part, group, values):
        # NumPy's numbers: TensorFlow keeps each Python number that it is handed, some 800 bytes
        # of it, as long as the process lives.
        step = np.int64(self._count.now)
        with self._writers[part].as_default(step):
            for name, value in values.items():
                tf.summary.scalar(f"{group}/{name}", np.asarray(value, "float32"))


class SampleGrids(keras.callbacks.Callback):
    """Samples now and then by the averaged network, for TensorBoard and as PNG.

    They have fixed seeds, so that one sees them improve. Each row is a class. A model that is
    conditioned on more than a class samples by what held-out images show, which stand beside its
    samples.

    Args:
        directory: path. Its `samples/` gets the PNG files, its `tensorboard/` the log.
        every_epochs: int. How often; after the last epoch, too. Defaults to `1`.
        epochs: int. Of the whole training; by default, what `fit` is given.
        dataset: `ImageDataset` that has such images. Defaults to `None`, for classes alone.
        card: function of the model that gives the card to sample by: names of classes, sampler,
            guidance. Defaults to the model's own.
        seed: int. Of the first sample. Defaults to `0`.
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        every_epochs: int = 1,
        epochs: int | None = None,
        dataset: ImageDataset | None = None,
        card: Callable[[DiffusionModel], DenoiserCard] | None = None,
        seed: int = 0,
    ):
        super().__init__()
        self._directory, self._dataset = Path(directory), dataset
        self._every, self._epochs, self._seed = every_epochs, epochs, seed
        self._card = card or (lambda model: model.card())
        self._writer: Any = None  # opened when training begins

    def on_train_begin(self, logs: Any = None) -> None:
        if self._writer is None:  # `fit` begins twice where a run resumes within an epoch
            step = int(self.model.step.numpy())
            self._writer = event_writer(self._directory, "samples", step)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        epochs = self._epochs or self.params["epochs"]
        if (epoch + 1) % self._every and epoch + 1 != epochs:
            return
        denoiser = self.model.denoiser(self._card(self.model))
        with working("sampling for TensorBoard"):
            if denoiser.card.condition_shapes:
                grid = self._beside_real_images(denoiser)
            else:
                images, names = sample_by_class(denoiser, PER_LABEL, self._seed, progress=False)
                grid = image_grid(to_uint8(images), PER_LABEL, row_labels=names)
        with self._writer.as_default():
            pixels = np.asarray(grid.convert("RGB"))[None]
            tf.summary.image("samples", pixels, np.int64(self.model.step.numpy()))
        self._writer.flush()
        path = self._directory / "samples" / f"epoch_{epoch + 1:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_png(grid, path, overwrite=True)

    def _beside_real_images(self, denoiser):
        """Of some held-out images: the image that is given, if any, the sample, the real one."""
        dataset: Any = self._dataset
        held_out = dataset.validation_images
        rows = np.unique(np.linspace(0, len(held_out) - 1, MOST_LABELS * PER_LABEL).astype(int))
        asked = dataset.asked(rows)
        images = sample(denoiser, asked, self._seed + np.arange(len(rows)), progress=False)
        shown = [to_uint8(images), held_out[rows]]
        if denoiser.card.image is not None:
            given: Any = check_conditions(denoiser.card, asked, len(rows)).image
            channels = 3 if given.shape[-1] >= 3 else 1
            given = to_uint8(given[..., :channels])
            shown.insert(0, np.broadcast_to(given, (*given.shape[:3], images.shape[-1])))
        cells = np.stack(shown, axis=1).reshape(-1, *images.shape[1:])
        return image_grid(cells, PER_LABEL * len(shown))
