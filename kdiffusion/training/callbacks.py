"""What a run is watched by: a guard, TensorBoard, sample grids."""

import time

import keras
import numpy as np
import tensorflow as tf

from kdiffusion.diffusion.sampling import sample
from kdiffusion.images import image_grid, save_png, to_uint8

# Grids stay readable: a data set of a hundred classes shows its first ten.
MOST_LABELS = 10


class StopAtNonFinite(keras.callbacks.Callback):
    """Stops training at the first step whose loss or gradient is not a finite number.

    Raises:
        FloatingPointError: naming the step; checkpoints written before it are left as they are.
    """

    def on_train_batch_end(self, batch, logs=None):
        for name, words in (("loss", "loss"), ("gradient_norm", "gradient's norm")):
            value = float(np.mean(logs[name]))
            if not np.isfinite(value):
                step = int(self.model.step.numpy())
                raise FloatingPointError(
                    f"The {words} is {value} at step {step}: training stops, and the last "
                    "checkpoint is from before it. Try a lower `optimizer.learning_rate` or a "
                    "`gradient_clip_norm`."
                )


class Monitor(keras.callbacks.TensorBoard):
    """TensorBoard with what a diffusion run is watched by, beside Keras's own scalars.

    Adds images a second, the network's graph, the configuration as text, and a grid of samples by
    class from fixed seeds, so that it can be watched improving. The same grids are written as PNG.

    Args:
        directory: `RunDirectory`.
        card: `DenoiserCard` with the recommended sampler, for the grids.
    """

    def __init__(self, directory, card):
        run = directory.config.run
        super().__init__(
            log_dir=str(directory.tensorboard),
            # Keras 3 drops an epoch's scalars unless its last step is one of every `update_freq`,
            # and finds no graph to write. Both are done here.
            update_freq="epoch",
            write_graph=False,
        )
        self._directory = directory
        self._card = card
        self._run = run
        self._batch_size = directory.config.optimizer.batch_size
        self._epochs = directory.config.optimizer.epochs

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        with self._train_writer.as_default():
            text = "\n".join(f"    {line}" for line in self._directory.config.to_json().split("\n"))
            tf.summary.text("config", text, step=0)
            tf.summary.graph(self.model.prediction_function.get_concrete_function().graph)

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        self._epoch_start = time.perf_counter(), int(self.model.step.numpy())

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, logs)
        step = int(self.model.step.numpy())
        if step % self._run.log_every_steps == 0:
            with self._train_writer.as_default():
                for name, value in logs.items():
                    tf.summary.scalar(f"batch_{name}", value, step=step)

    def on_test_begin(self, logs=None):
        # Validation and sampling are not training: the clock stops when the last step is done.
        self._log_images_per_second()
        super().on_test_begin(logs)

    def _log_images_per_second(self):
        start_time, start_step = self._epoch_start
        step = int(self.model.step.numpy())
        images = (step - start_step) * self._batch_size
        with self._train_writer.as_default():
            seconds = time.perf_counter() - start_time
            tf.summary.scalar("images_per_second", images / seconds, step=step)

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        if (epoch + 1) % self._run.sample_every_epochs == 0 or epoch + 1 == self._epochs:
            self._draw_samples(epoch + 1)

    def _draw_samples(self, epoch):
        names = self._card.class_names[:MOST_LABELS]
        labels = np.repeat(np.arange(len(names)), self._run.sample_per_label)
        seeds = self._run.seed + np.arange(len(labels))
        images = sample(self.model.denoiser(), self._card, labels, seeds, progress=False)
        grid = image_grid(to_uint8(images), self._run.sample_per_label, row_labels=names)
        with self._train_writer.as_default():
            tf.summary.image("samples", np.asarray(grid.convert("RGB"))[None], step=epoch)
        save_png(grid, self._directory.samples / f"epoch_{epoch:04d}.png", overwrite=True)
