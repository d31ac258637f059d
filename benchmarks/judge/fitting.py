"""Training a judge with `model.fit`, as fast as Jordan 2024 (arXiv:2404.00498) does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from tqdm import tqdm

from .augmentation import SPOILT_SHARE, judge_batches
from .network import training_network

if TYPE_CHECKING:
    from kdiffusion.data import ImageDataset

# At the peak, for each image of a batch; the loss is a mean.
LEARNING_RATE = 1.5 / 1024
START, PEAK_AT, END = 0.2, 0.23, 0.07  # shares: of the peak, of the steps, of the peak
MOMENTUM = 0.85
WEIGHT_DECAY = 0.009
LABEL_SMOOTHING = 0.2
LOOKAHEAD_STEPS = 10


def train_judge(
    dataset: ImageDataset,
    *,
    width: int = 64,
    images: int = 600_000,
    batch_size: int = 512,
    seed: int = 0,
    flip: bool | None = None,
    spoilt_share: float = SPOILT_SHARE,
    dtype_policy: str = "auto",
    progress: bool = True,
) -> keras.Model:
    """Trains a judge on the training part of a data set.

    Args:
        dataset: ImageDataset.
        width: int. Channels of the first level. Defaults to `64`.
        images: int. Images seen in training, over all epochs. Defaults to `600_000`.
        batch_size: int. Defaults to `512`.
        seed: int. Of weights, order and augmentation. Defaults to `0`.
        flip: bool. Whether a mirror image shows the same class. Defaults to `None`: what
            `dataset.horizontal_flip` says.
        spoilt_share: float. The part of the images that are blurred, grained or compressed, so that
            the judge reads through that. Defaults to `3 / 32`.
        dtype_policy: str. Keras dtype policy of the convolutions, or `"auto"` for the machine's.
        progress: bool. Whether to show a bar.

    Returns:
        keras.Model: see `training_network`.
    """
    steps = -(-images // batch_size)
    batches = judge_batches(
        dataset.images, dataset.labels, dataset.num_classes, steps=steps, batch_size=batch_size,
        seed=seed, flip=dataset.horizontal_flip if flip is None else flip,
        spoilt_share=spoilt_share,
    )  # fmt: skip
    network = training_network(dataset.images, dataset.num_classes, width, seed, dtype_policy)
    network.compile(
        optimizer=keras.optimizers.SGD(
            Triangle(LEARNING_RATE * batch_size, steps), momentum=MOMENTUM, nesterov=True,
            weight_decay=WEIGHT_DECAY,
        ),
        loss=keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=LABEL_SMOOTHING
        ),
        metrics=["accuracy"],
        jit_compile=False,
    )  # fmt: skip
    callbacks = [
        Lookahead(steps),
        keras.callbacks.TerminateOnNaN(),
        Bar(steps, progress),
    ]
    network.fit(batches, callbacks=callbacks, verbose=0)
    return network


class Triangle(keras.optimizers.schedules.LearningRateSchedule):
    """Straight up to the peak, and straight down nearly to nothing.

    Args:
        peak: float.
        steps: int. Of the whole training.
    """

    def __init__(self, peak: float, steps: int):
        self.peak, self.steps = peak, steps

    def __call__(self, step: Any) -> Any:
        done = keras.ops.cast(step, "float32") / self.steps
        rising = START + (1 - START) * done / PEAK_AT
        falling = 1 - (1 - END) * (done - PEAK_AT) / (1 - PEAK_AT)
        return self.peak * keras.ops.minimum(rising, falling)

    def get_config(self) -> dict[str, Any]:
        return {"peak": self.peak, "steps": self.steps}


class Lookahead(keras.callbacks.Callback):
    """Sets the weights back to their moving average now and then (Zhang et al. 2019).

    The average moves the more slowly the nearer the end is. The statistics of norms go with it.

    Args:
        steps: int. Of the whole training.
    """

    def __init__(self, steps: int):
        super().__init__()
        self.steps = steps

    def on_train_begin(self, logs: Any = None) -> None:
        self._average = [np.array(weight) for weight in self.model.get_weights()]
        self._has_moved = False

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        step = batch + 1
        if step % LOOKAHEAD_STEPS == 0 and step < self.steps:
            self._set(0.95**5 * (step / self.steps) ** 3)
            self._has_moved = True

    def on_train_end(self, logs: Any = None) -> None:
        if self._has_moved:  # else it is still where the training began
            self._set(1.0)

    def _set(self, decay):
        for average, weight in zip(self._average, self.model.get_weights(), strict=True):
            average += (1 - decay) * (weight - average)
        self.model.set_weights(self._average)


class Bar(keras.callbacks.Callback):
    """A progress bar of steps, with the loss and the accuracy so far.

    Args:
        steps: int. Of the whole training.
        progress: bool. Whether to show it.
    """

    def __init__(self, steps: int, progress: bool):
        super().__init__()
        self._bar = tqdm(total=steps, desc="Training", unit="step", disable=not progress)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._bar.set_postfix(
            {name: f"{value:.3f}" for name, value in (logs or {}).items()}, refresh=False
        )
        self._bar.update()

    def on_train_end(self, logs: Any = None) -> None:
        self._bar.close()
