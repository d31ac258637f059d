"""`model.fit` of a run from any step on, and the callbacks that save it and stop it."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kdiffusion.data import ImageDataset
from kdiffusion.data.pipeline import validation_batches
from kdiffusion.runs.checkpoints import Checkpoints
from kdiffusion.runs.config import Config, epochs_between
from kdiffusion.runs.interruptions import Interrupted, Preempted, StoppedByUser
from kdiffusion.runs.progress import EpochLines, StepCount
from kdiffusion.runs.run_directory import RunDirectory
from kdiffusion.runs.strategy import Workers, distributed_batches
from kdiffusion.runs.tensorboard import SampleGrids, TensorBoardLog
from kdiffusion.training.diffusion_model import DiffusionModel


@dataclass(frozen=True)
class Training:
    """A run that is ready to start or resume."""

    directory: RunDirectory
    dataset: ImageDataset
    strategy: tf.distribute.Strategy
    workers: Workers
    model: DiffusionModel
    late_callbacks: Sequence[Any]  # which come after the checkpoint of an epoch

    @property
    def config(self) -> Config:
        return self.directory.config

    @property
    def steps_per_epoch(self) -> int:
        return self.dataset.steps_per_epoch(self.config.optimizer.batch_size)

    @property
    def checkpoints(self) -> Checkpoints:
        keep = self.config.run.checkpoints_to_keep
        return Checkpoints(self.model, self.directory.checkpoints, keep)


def fit(
    training: Training,
    own_callbacks: Sequence[keras.callbacks.Callback],
    what_came: Callable[[], type[Interrupted] | None],
) -> None:
    """`model.fit` from any step on: first the rest of a broken epoch, then whole ones.

    Args:
        training: `Training`, begun or resumed.
        own_callbacks: the user's.
        what_came: function without arguments: that of `catching_signals`.
    """
    config, model, workers = training.config, training.model, training.workers
    steps_per_epoch, directory = training.steps_per_epoch, training.directory
    count = StepCount(int(model.step.numpy()), steps_per_epoch, config.run)
    lines = EpochLines(config, count)
    callbacks: list[Any] = [count, lines]
    if workers.is_chief:
        callbacks += [TensorBoardLog(directory, count), *own_callbacks]
    # What an epoch leaves in the log is whole before the checkpoint that says it is done.
    callbacks.append(SaveCheckpoint(training, count, what_came))
    if workers.is_chief:  # Sampling may fail: no step is lost by that.
        epochs = config.optimizer.epochs
        every = epochs_between(config.run.sample_every_epochs, epochs)
        own = directory.path, every, epochs, training.dataset, directory.card, config.run.seed
        callbacks += [SampleGrids(*own), *training.late_callbacks]
    with contextlib.closing(lines):
        epoch, done = divmod(count.now, steps_per_epoch)
        if done and epoch < config.optimizer.epochs:
            rest = [ContinueEpoch(model), *callbacks]
            _fit_epochs(training, epoch + 1, steps_per_epoch - done, rest)
        if not model.stop_training:  # which the next `fit` would forget
            _fit_epochs(training, config.optimizer.epochs, steps_per_epoch, callbacks)


def _fit_epochs(training, epochs, steps, callbacks):
    """`model.fit` from the model's step on, to the end of an epoch; each has so many steps."""
    config, model, strategy = training.config, training.model, training.strategy
    step = int(model.step.numpy())
    options = {
        "seed": config.run.seed,
        "flip": config.data.horizontal_flip,
        "condition_noise": config.data.condition_noise,
    }
    batch_size = config.optimizer.batch_size
    model.fit(
        distributed_batches(strategy, training.dataset, batch_size, first_step=step, **options),
        steps_per_epoch=steps,
        initial_epoch=step // training.steps_per_epoch,
        epochs=epochs,
        callbacks=callbacks,
        verbose=0,  # EpochLines says what there is to say.
        validation_data=validation_batches(training.dataset, batch_size),
        validation_freq=validated_epochs(config),
    )


def validated_epochs(config: Config) -> list[int]:
    """Numbers of the epochs, from 1, after which the validation loss is measured: about 40."""
    epochs = config.optimizer.epochs
    every = epochs_between(None, epochs)
    return [*range(every, epochs, every), epochs]


class SaveCheckpoint(keras.callbacks.Callback):
    """Writes a checkpoint every so many steps and epochs, after the last, and when told to stop.

    And where another callback stopped the training. What is due at a step that ends an epoch is
    done with the epoch, when its validation is over: a checkpoint, and the stop that SIGTERM or
    Ctrl-C asks for. Of several workers each looks for that now and then, since all must agree.

    Args:
        training: `Training`. One of its workers writes; all stop at the same step.
        count: `StepCount`.
        what_came: function without arguments: that of `catching_signals`.

    Raises:
        FloatingPointError: the loss or the gradient stopped being a finite number. Nothing that
            came of it is saved.
        Preempted, StoppedByUser: naming the step, when the checkpoint is written.
    """

    def __init__(
        self,
        training: Training,
        count: StepCount,
        what_came: Callable[[], type[Interrupted] | None],
    ):
        super().__init__()
        self._checkpoints, self._workers = training.checkpoints, training.workers
        run, self._epochs = training.config.run, training.config.optimizer.epochs
        self._every_steps = run.checkpoint_every_steps
        self._every_epochs = epochs_between(run.checkpoint_every_epochs, self._epochs)
        self._count, self._what_came = count, what_came

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if not self._count.ends_epoch:
            self._look(logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self._count.ends_epoch:  # else stopped amid it, where it was saved
            is_due = (epoch + 1) % self._every_epochs == 0 or epoch + 1 == self._epochs
            self._look(logs, is_due, logs)

    def _look(self, numbers, epoch_is_due=False, logs=None):
        step, came, stop = self._count.now, self._what_came(), False
        asks = came is not None or self.model.stop_training
        if not (self._count.is_looked_at or (asks and not self._workers.several)):
            return
        if not np.isfinite([numbers["loss"], numbers["gradient_norm"]]).all():
            raise FloatingPointError(
                f"The loss or its gradient is not finite at step {step}. Resume with a lower "
                "--optimizer.learning-rate."
            )
        is_due = epoch_is_due or (self._every_steps is not None and step % self._every_steps == 0)
        if self._workers.any(asks):
            stop = self._workers.any(came is not None)
            # The callback that stops a training may be the chief's alone.
            self.model.stop_training = self._workers.any(self.model.stop_training)
        if self._workers.is_chief and (is_due or stop or self.model.stop_training):
            self._checkpoints.save(logs)
        if stop:
            # This returns when all are here: none leaves while one writes.
            kind = Preempted if self._workers.any(came is Preempted) else StoppedByUser
            raise kind(
                f"Stopped by {kind.cause} after step {step}, which was saved. Continue with "
                "the same command with --resume, without --overwrite."
            )


class ContinueEpoch(keras.callbacks.Callback):
    """Gives an epoch that was cut short its metrics back, which Keras resets as `fit` begins it.

    Args:
        model: a `DiffusionModel` restored amid an epoch.
    """

    def __init__(self, model: DiffusionModel):
        super().__init__()
        variables = [variable for metric in model.metrics for variable in metric.variables]
        self._state = [(variable, variable.numpy()) for variable in variables]

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        for variable, value in self._state:
            variable.assign(value)
