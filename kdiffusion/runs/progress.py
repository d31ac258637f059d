"""What a run prints while it trains: what it is doing, and a line for each epoch.

All other numbers are in TensorBoard (`tensorboard.py`).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from tqdm import tqdm

from kdiffusion.terminal import moving_line, say

if TYPE_CHECKING:
    from kdiffusion.runs.config import Config
    from kdiffusion.runs.step_count import StepCount

# The metrics that an epoch's line shows, and by which word.
SHOWN = {"loss": "loss", "val_loss": "validation"}
SECONDS_BETWEEN_MOVES = 1  # on a terminal: to show the loss is to wait for the device
SECONDS_BETWEEN_LINES = 30  # in a log file


class EpochLines(keras.callbacks.Callback):
    """A line for each epoch, of at most 80 columns.

    Within an epoch, a terminal shows one that moves, and a log file gets one each half minute.

    Args:
        config: `Config`.
        count: `StepCount`.
    """

    def __init__(self, config: Config, count: StepCount):
        super().__init__()
        self._epochs = config.optimizer.epochs
        self._batch_size = config.optimizer.batch_size
        self._count = count
        self._bar = moving_line()
        self._begun: Any = None  # (time, step) when the first step of this process was done
        self._shown = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if self._begun is None:
            words = "tracing and compiling the first step ..."
            self._bar.set_description_str(words)
            if self._bar.disable:  # in a log
                say(words)
        self._epoch = epoch + 1
        self._epoch_begun = time.perf_counter(), self._count.now

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        now, step = time.perf_counter(), self._count.now
        if self._begun is None:
            # The first step takes the time of many others, and says nothing of theirs.
            self._begun = self._epoch_begun = now, step
            self._shown = now
        self._epoch_done = now, step
        in_a_log = self._bar.disable
        if now - self._shown > (SECONDS_BETWEEN_LINES if in_a_log else SECONDS_BETWEEN_MOVES):
            self._shown = now
            line = self._line(logs, self._where(step))
            say(line) if in_a_log else self._bar.set_description_str(line)

    def on_test_begin(self, logs: Any = None) -> None:
        self._bar.set_description_str(f"{self._name()}: validation ...")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._shown = time.perf_counter()
        is_whole = self._count.ends_epoch  # not one that a callback cut short
        say(self._line(logs, "" if is_whole else self._where(self._count.now)))

    def close(self) -> None:
        """Takes the moving line away, also where training ended by an exception."""
        self._bar.close()

    def _name(self):
        return f"epoch {self._epoch:{len(str(self._epochs))}}/{self._epochs}"

    def _line(self, logs, where=""):
        shown = [(word, np.mean(logs[name])) for name, word in SHOWN.items() if name in logs]
        numbers = "".join(f"  {word} {value:.4f}" for word, value in shown)
        return self._name() + where + numbers + self._speed() + self._left()

    def _where(self, step):
        return (
            f"  step {(step - 1) % self._count.steps_per_epoch + 1}/{self._count.steps_per_epoch}"
        )

    def _speed(self):
        (start, first), (now, step) = self._epoch_begun, self._epoch_done
        if step == first:
            return ""
        return f"  {(step - first) * self._batch_size / (now - start):.0f} images/s"

    def _left(self):
        """Of the whole run, if it goes on as fast as so far, validations included."""
        start, first = self._begun
        step = self._count.now
        steps_left = self._epochs * self._count.steps_per_epoch - step
        if step == first or not steps_left:
            return ""
        seconds = (time.perf_counter() - start) / (step - first) * steps_left
        return f"  {tqdm.format_interval(seconds)} left"
