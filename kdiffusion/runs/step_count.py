"""The step that a run is at, counted on the host: to read the model's is to wait for the device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

if TYPE_CHECKING:
    from kdiffusion.runs.config import ExecutionConfig


class StepCount(keras.callbacks.Callback):
    """Counts the steps of a training; the first of its callbacks.

    Args:
        step: int. Where the training begins.
        steps_per_epoch: int.
        run: `ExecutionConfig`.

    Attributes:
        now: int. Steps done.
    """

    def __init__(self, step: int, steps_per_epoch: int, run: ExecutionConfig):
        super().__init__()
        self.now = step
        self.steps_per_epoch = steps_per_epoch
        self._every = [run.log_every_steps, *filter(None, [run.checkpoint_every_steps])]

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.now += 1

    @property
    def ends_epoch(self) -> bool:
        """Whether the epoch is whole."""
        return self.now % self.steps_per_epoch == 0

    @property
    def is_looked_at(self) -> bool:
        """Whether what the device has computed, and the other workers, are asked at this step."""
        return self.ends_epoch or any(self.now % every == 0 for every in self._every)
