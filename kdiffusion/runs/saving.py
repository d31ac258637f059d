"""When a run is saved, how it stops, and how a saved one resumes within an epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kdiffusion.runs.checkpoints import newest_first
from kdiffusion.runs.config import epochs_between
from kdiffusion.runs.interruptions import Preempted, StoppedByUser

if TYPE_CHECKING:
    from pathlib import Path

    from kdiffusion.runs.checkpoints import Checkpoints
    from kdiffusion.runs.config import Config
    from kdiffusion.runs.interruptions import Interrupted
    from kdiffusion.runs.strategy import Workers
    from kdiffusion.training.diffusion_model import DiffusionModel


class StopAtNonFinite(keras.callbacks.Callback):
    """Stops training at the first step whose loss or gradient is not a finite number.

    Args:
        checkpoints: Path of the folder that holds them. The newest is from before that step.

    Raises:
        FloatingPointError: naming the step, and the checkpoint to resume from.
    """

    def __init__(self, checkpoints: Path):
        super().__init__()
        self._checkpoints = checkpoints

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        for name in ("loss", "gradient_norm"):
            value = float(np.mean(logs[name]))
            if not np.isfinite(value):
                last = next(iter(newest_first(self._checkpoints)), None)
                after = "Start again with --overwrite" if last is None else "Resume with --resume"
                raise FloatingPointError(
                    f"The {name} is {value} at step {int(self.model.step.numpy())}: training "
                    f"stops. The last checkpoint is {last}. {after} and a lower "
                    "--optimizer.learning-rate."
                )


class SaveCheckpoint(keras.callbacks.Callback):
    """Writes a checkpoint every so many steps and epochs, after the last, and when told to stop.

    And where another callback stopped the training. What is due at a step that ends an epoch is
    done with the epoch, when its validation is over: a checkpoint, and the stop that SIGTERM or
    Ctrl-C asks for.

    Args:
        checkpoints: `Checkpoints`.
        config: `Config`.
        steps_per_epoch: int.
        what_came: function without arguments: that of `catching_signals`.
        workers: `Workers`. One writes; all stop at the same step.
        after_save: function without arguments, called when a checkpoint is written; or None.

    Raises:
        Preempted, StoppedByUser: naming the step, when the checkpoint is written.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        config: Config,
        steps_per_epoch: int,
        what_came: Callable[[], type[Interrupted] | None],
        workers: Workers,
        after_save: Callable[[], None] | None = None,
    ):
        super().__init__()
        self._checkpoints = checkpoints
        self._every_steps = config.run.checkpoint_every_steps
        self._epochs = config.optimizer.epochs
        self._every_epochs = epochs_between(config.run.checkpoint_every_epochs, self._epochs)
        self._steps_per_epoch = steps_per_epoch
        self._what_came = what_came
        self._workers = workers
        self._after_save = after_save

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._last_step = int(self.model.step.numpy())

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        step, every = int(self.model.step.numpy()), self._every_steps
        # Not every step is seen where one call of the compiled function makes several.
        self._is_due = every is not None and step // every > self._last_step // every
        if step % self._steps_per_epoch:
            self._save_if(self._is_due, step)
        self._last_step = step

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self._last_step % self._steps_per_epoch:  # stopped amid it, where it was saved
            return
        epoch_is_due = (epoch + 1) % self._every_epochs == 0 or epoch + 1 == self._epochs
        self._save_if(self._is_due or epoch_is_due, self._last_step, logs)

    def _save_if(self, is_due, step, logs=None):
        came, stop = self._what_came(), False
        # One reduction a step; more where a worker stops.
        if self._workers.any(came is not None or self.model.stop_training):
            stop = self._workers.any(came is not None)
            # The callback that stops a training may be the chief's alone.
            self.model.stop_training = self._workers.any(self.model.stop_training)
        if self._workers.is_chief and (is_due or stop or self.model.stop_training):
            self._checkpoints.save(logs)
            if self._after_save is not None:
                self._after_save()
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
