"""Where a run is, counted on the host; and what it prints: a bar, and a line for each epoch.

All other numbers are in TensorBoard (`tensorboard.py`).
"""

import time
from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from kdiffusion.runs.config import Config, ExecutionConfig
from kdiffusion.terminal import say

# The metrics that an epoch's line shows, and by which word.
SHOWN = {"loss": "loss", "val_loss": "validation"}


class StepCount(keras.callbacks.Callback):
    """Counts the steps of a training, since to read the model's is to wait for the device.

    It is the first of the callbacks.

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


class EpochLines(keras.callbacks.Callback):
    """A line for each epoch, of at most 80 columns; a terminal has tqdm's bar of all steps, too.

    Args:
        config: `Config`.
        count: `StepCount`.
    """

    def __init__(self, config: Config, count: StepCount):
        super().__init__()
        self._epochs = config.optimizer.epochs
        self._count = count
        self._total = self._epochs * count.steps_per_epoch
        self._bar = tqdm(
            desc="Training", total=self._total, initial=count.now, unit="step", leave=False,
            disable=None,
        )  # fmt: skip
        self._begun: Any = None  # (time, step) when the first step of this process was done

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if self._begun is None:
            say("tracing and compiling the first step ...")

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._begun is None:
            # The first step takes the time of many others, and says nothing of theirs.
            self._begun = time.perf_counter(), self._count.now
        self._bar.update()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        step, steps_per_epoch = self._count.now, self._count.steps_per_epoch
        where = f"epoch {epoch + 1:{len(str(self._epochs))}}/{self._epochs}"
        if not self._count.ends_epoch:  # a callback cut it short
            where += f"  step {step % steps_per_epoch}/{steps_per_epoch}"
        shown = [(word, np.mean(logs[name])) for name, word in SHOWN.items() if name in logs]
        say(where + "".join(f"  {word} {value:.4f}" for word, value in shown) + self._left())

    def close(self) -> None:
        """Takes the bar away, also where training ended by an exception."""
        self._bar.close()

    def _left(self):
        """The time of the rest of the run, at the speed so far, validations included."""
        (start, first), step = self._begun, self._count.now
        if step in (first, self._total):
            return ""
        seconds = (time.perf_counter() - start) / (step - first) * (self._total - step)
        return f"  {tqdm.format_interval(seconds)} left"
