"""What a run is watched by: a guard, TensorBoard, sample grids."""

from __future__ import annotations

import contextlib
import json
import time
import warnings
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams_api

from kdiffusion.diffusion.sampling import sample
from kdiffusion.images import image_grid, save_png, to_uint8
from kdiffusion.runs.config import epochs_between
from kdiffusion.runs.event_log import Axis
from kdiffusion.runs.history import flat_settings
from kdiffusion.terminal import working
from kdiffusion.training.metrics import LOSS_OF_CLASS

if TYPE_CHECKING:
    from kdiffusion.diffusion.card import DenoiserCard
    from kdiffusion.runs.checkpoints import Checkpoints
    from kdiffusion.runs.run_directory import RunDirectory

# Grids stay readable: a data set of a hundred classes shows its first ten.
MOST_LABELS = 10
# A loss that is out of its band for as long is said to be, at the end of an epoch.
LONG_STEPS = 100


class StopAtNonFinite(keras.callbacks.Callback):
    """Stops training at the first step whose loss or gradient is not a finite number.

    The steps before it tell the checkpoints' `band` their losses, so that the run can go back to
    one from before its loss left it. Of several steps in one call only the mean is known: what is
    wrong with it may have been so from the first of them on.

    Args:
        checkpoints: `Checkpoints`.
        steps_per_epoch: int.
        is_chief: bool. Whether this process moves checkpoints.

    Raises:
        FloatingPointError: naming the step, and the checkpoint from which the run can go on.
    """

    def __init__(self, checkpoints: Checkpoints, steps_per_epoch: int, is_chief: bool = True):
        super().__init__()
        self._checkpoints = checkpoints
        self._steps_per_epoch = steps_per_epoch
        self._is_chief = is_chief
        self._warned_of = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._step = int(self.model.step.numpy())
        # Amid an epoch it is that of the steps before, which ContinueEpoch has given back.
        loss = float(self.model.metrics[0].result()["loss"])
        self._sum = self._step % self._steps_per_epoch * loss

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        step, before = int(self.model.step.numpy()), self._step
        for name, words in (("loss", "loss"), ("gradient_norm", "gradient's norm")):
            value = float(np.mean(logs[name]))
            if not np.isfinite(value):
                raise FloatingPointError(self._message(words, value, step))
        # Keras's logs are means over the epoch so far.
        done = (step - 1) % self._steps_per_epoch + 1
        total = done * float(np.mean(logs["loss"]))
        self._checkpoints.band.update(before + 1, (total - self._sum) / (step - before))
        self._step, self._sum = step, total

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        band, step = self._checkpoints.band, int(self.model.step.numpy())
        is_out = band.left_at is not None and step - band.left_at >= LONG_STEPS
        if is_out and self._is_chief and band.left_at != self._warned_of:
            self._warned_of = band.left_at
            warnings.warn(
                f"Since step {band.left_at} the loss is above {band.limit:.3g}, three times its "
                f"lowest. The last checkpoint from before that is kept: "
                f"{self._checkpoints.last_good(step)}. To go back to it, stop the run, move the "
                "newer ones away, and go on by --resume with a lower --optimizer.learning-rate.",
                stacklevel=2,
            )

    def _message(self, words, value, step):
        band = self._checkpoints.band
        said = f"The {words} is {value} at step {step}: training stops."
        if band.left_at is not None:
            said += (
                f" The loss left its band at step {band.left_at}, where it rose above "
                f"{band.limit:.3g}, three times its lowest."
            )
        good = self._checkpoints.last_good(self._step + 1)
        if good is None:
            return (
                f"{said} No checkpoint is known to be from before that. Begin again, with "
                "--overwrite, a lower --optimizer.learning-rate or a "
                "--optimizer.gradient-clip-norm."
            )
        if self._is_chief:
            self._checkpoints.go_back_to(good)
        return (
            f"{said} The last checkpoint from before that is {good}. Go on from it by the same "
            "command with --resume, without --overwrite, and a lower --optimizer.learning-rate."
        )


class Monitor(keras.callbacks.Callback):
    """What a diffusion run is watched by, in TensorBoard.

    Scalars of each epoch, in training and validation, and within it every `log_every_steps`, the
    learning rate, images per second, the network's graph, the configuration as text, and a grid of
    samples by class from fixed seeds, so that it can be watched improving. The same grids are
    written as PNG. The settings stand in the HParams tab, beside each run's losses. All count along
    one axis, `run.x_axis`.

    Keras's own callback can't be built upon: it hands TensorFlow Python numbers (see
    `_write_scalars`), drops an epoch's scalars unless its last step is one of every `update_freq`,
    and finds no graph to write.

    Args:
        directory: `RunDirectory`.
        card: `DenoiserCard` with the recommended sampler, for the grids.
        steps_per_epoch: int.
        has_config, has_graph: bool. Whether the run's log holds the configuration as it is now,
            and the graph. Defaults to `False`.
    """

    def __init__(
        self,
        directory: RunDirectory,
        card: DenoiserCard,
        steps_per_epoch: int,
        has_config: bool = False,
        has_graph: bool = False,
    ):
        super().__init__()
        self._has_config, self._has_graph = has_config, has_graph
        self._directory = directory
        self._card = card
        self._steps_per_epoch = steps_per_epoch
        self._run = directory.config.run
        self._batch_size = directory.config.optimizer.batch_size
        self._epochs = directory.config.optimizer.epochs
        self._sample_every = epochs_between(self._run.sample_every_epochs, self._epochs)
        self._axis = Axis(self._run.x_axis, self._batch_size)

    def on_train_begin(self, logs: Any = None) -> None:
        self._writers = {
            part: tf.summary.create_file_writer(str(self._directory.tensorboard / part))
            for part in ("train", "validation")
        }
        if not self._has_config:
            self._write_settings()
        with self._writing("train") as writer:
            if not self._has_config:
                lines = self._directory.config.to_json().split("\n")
                text = "\n".join(f"    {line}" for line in lines)
                tf.summary.text("config", text, step=self._x("config"))
            if not self._has_graph:
                function = self.model.prediction_function.get_concrete_function()
                tf.summary.graph(function.graph)
            writer.flush()
        # `fit` begins twice where a run goes on amid an epoch.
        self._has_config = self._has_graph = True

    def on_train_end(self, logs: Any = None) -> None:
        for writer in self._writers.values():
            writer.close()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch + 1
        self._last_step = self._step()
        self._epoch_start = time.perf_counter(), self._last_step

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        step, every = self._step(), self._run.log_every_steps
        # Not every step is seen where one call of the compiled function makes several.
        if step // every > self._last_step // every:
            self._write_scalars("train", "batch", logs | self._learning_rate())
            # A checkpoint may follow: what it says is done must be in the log, too.
            with self._writing("train") as writer:
                writer.flush()
        self._last_step = step
        # Validation and sampling are not training: the clock stops when the last step is done.
        self._epoch_done = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self._step() % self._steps_per_epoch:  # stopped amid it: it is written when it is whole
            return
        start_time, start_step = self._epoch_start
        images = (self._step() - start_step) * self._batch_size
        speed = {"images_per_second": images / (self._epoch_done - start_time)}
        self._write_scalars("train", "batch", speed)
        training = {name: value for name, value in logs.items() if not name.startswith("val_")}
        validation = {name[4:]: value for name, value in logs.items() if name.startswith("val_")}
        self._write_scalars("train", "epoch", training | self._learning_rate())
        self._write_scalars("validation", "epoch", self._with_class_names(validation))
        if self._is_due(self._sample_every):
            self._draw_samples()
        # What a checkpoint says is done must be in the log, too.
        for writer in self._writers.values():
            writer.flush()

    def _is_due(self, every):
        return self._epoch % every == 0 or self._epoch == self._epochs

    def _step(self):
        return int(self.model.step.numpy())

    def _learning_rate(self):
        return {"learning_rate": self.model.optimizer.learning_rate}

    def _x(self, tag):
        return np.int64(self._axis.number(tag, self._step(), getattr(self, "_epoch", 0)))

    def _write_settings(self):
        """The settings, for TensorBoard's table of runs: a session of the run's whole log."""
        values = {
            name: value if isinstance(value, (bool, int, float, str)) else json.dumps(value)
            for name, value in flat_settings(self._directory.config).items()
        }
        folder = self._directory.tensorboard
        # A session has one start: the settings that a run goes on with take the place of those.
        for file in folder.glob("events.out.tfevents.*"):
            file.unlink()
        with self._reporting():
            writer = tf.summary.create_file_writer(str(folder))
            with writer.as_default():
                hparams_api.hparams(values)
            writer.close()

    def _with_class_names(self, values):
        """Losses by class under the classes' names, which the model doesn't know."""
        names = {f"{LOSS_OF_CLASS}{n}": each for n, each in enumerate(self._card.class_names)}
        return {
            f"loss_by_class/{names[name]}" if name in names else name: value
            for name, value in values.items()
        }

    def _write_scalars(self, part, group, values):
        # NumPy's numbers: TensorFlow keeps each Python number that it is handed, some 800 bytes
        # of it, as long as the process lives.
        with self._writing(part):
            for name, value in values.items():
                tag = f"{group}/{name}"
                tf.summary.scalar(tag, np.asarray(value, "float32"), self._x(tag))

    def _draw_samples(self):
        names = self._card.class_names[:MOST_LABELS]
        labels = np.repeat(np.arange(len(names)), self._run.sample_per_label)
        seeds = self._run.seed + np.arange(len(labels))
        with working("drawing samples for TensorBoard"):
            images = sample(self.model.denoiser(self._card), labels, seeds, progress=False)
        grid = image_grid(to_uint8(images), self._run.sample_per_label, row_labels=names)
        with self._writing("train"):
            pixels = np.asarray(grid.convert("RGB"))[None]
            tf.summary.image("samples", pixels, self._x("samples"))
        save_png(grid, self._directory.samples / f"epoch_{self._epoch:04d}.png", overwrite=True)

    @contextlib.contextmanager
    def _writing(self, part):
        with self._reporting(), self._writers[part].as_default():
            yield self._writers[part]

    @contextlib.contextmanager
    def _reporting(self):
        try:
            yield
        except tf.errors.OpError as error:
            # Keras would take some of TensorFlow's for the end of the data.
            raise OSError(
                f"{self._directory.tensorboard} could not be written: {error.message}"
            ) from error
