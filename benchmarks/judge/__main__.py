"""Trains a judge of images on real ones: a classifier that reads what a sample shows.

    python -m benchmarks.judge cifar10 --out judge.onnx

`python -m kdiffusion evaluate ... --judge judge.onnx` takes it. Those of the digits and of CIFAR-10
come with the package. It is trained with `model.fit`, as fast as Jordan 2024 (arXiv:2404.00498)
does.
"""

import time
from pathlib import Path
from typing import Annotated, Any, Literal

import keras
import numpy as np
import tyro

from benchmarks.judge.augmentation import judge_batches
from benchmarks.judge.network import judge_network, training_flops, whitening
from benchmarks.judge.writer import write_judge
from kdiffusion.atomic_files import refuse_existing
from kdiffusion.data import ImageDataset, load_dataset, name_and_directory

# At the peak, for each image of a batch; the loss is a mean.
LEARNING_RATE = 1.5 / 1024
START, PEAK_AT, END = 0.2, 0.23, 0.07  # shares: of the peak, of the steps, of the peak
MOMENTUM = 0.85
WEIGHT_DECAY = 0.009
LABEL_SMOOTHING = 0.2
LOOKAHEAD_STEPS = 10


def main(
    data: Annotated[str, tyro.conf.Positional],
    out: Path,
    directory: Path | None = None,
    image_size: int | tuple[int, int] | None = None,
    validation_fraction: float = 0.1,
    horizontal_flip: bool | None = None,
    width: int = 64,
    images: int = 600_000,
    batch_size: int = 512,
    seed: int = 0,
    dtype_policy: Literal["auto", "float32", "mixed_bfloat16"] = "auto",
    overwrite: bool = False,
) -> None:
    """Trains a judge on real images and writes it as one ONNX file, with how well it reads.

    Args:
        data: digits, cifar10, any TFDS name with image and label, or a folder with a sub-folder of
            images for each class.
        out: ONNX file to write.
        directory: TFDS data directory; TFDS_DATA_DIR, or TFDS's own, if not given.
        image_size: side in pixels to which images are resized, or height and width; their own if
            not given.
        validation_fraction: share of the images held out where the data set has no test split.
        horizontal_flip: whether a mirror image shows the same class; None knows it of data sets,
            and says no of a folder.
        width: channels of the first level; the others have four times as many.
        images: seen in training, over all epochs.
        batch_size: images per step.
        seed: of the weights, the order and the augmentation; another makes another judge.
        dtype_policy: of the convolutions in training; auto is mixed_bfloat16 where the machine
            computes bfloat16, else float32. The file computes in float32.
        overwrite: replace an existing file.
    """
    refuse_existing(out, overwrite)
    start = time.perf_counter()
    name, place = name_and_directory(data, directory)
    dataset = load_dataset(
        name, directory=place, image_size=image_size, validation_fraction=validation_fraction
    )
    flip = dataset.horizontal_flip if horizontal_flip is None else horizontal_flip
    network = train_judge(dataset, width, images, batch_size, seed, flip, dtype_policy)
    petaflops = training_flops(network, images) / 1e15
    how_made = (
        f"python -m benchmarks.judge {Path(data).name} --width {width} --images {images} "
        f"--batch-size {batch_size} --seed {seed} --validation-fraction {validation_fraction:g} "
        f"--image-size {' '.join(map(str, dataset.image_shape[:2]))} --horizontal-flip {flip} "
        f"--dtype-policy {dtype_policy}; "
        f"{petaflops:.2g} PFLOP; read on {len(dataset.validation_images)} held-out images"
    )
    accuracy = write_judge(network, dataset, out, how_made, both_sides=flip, overwrite=overwrite)
    read = ", ".join(f"{100 * share:.1f} % ({kind})" for kind, share in accuracy.items())
    print(f"Trained in {(time.perf_counter() - start) / 60:.1f} minutes by {petaflops:.2g} PFLOP.")
    print(f"Of {len(dataset.validation_images)} held-out images it reads right: {read}")
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB")


def train_judge(
    dataset: ImageDataset,
    width: int,
    images: int,
    batch_size: int,
    seed: int,
    flip: bool,
    dtype_policy: str,
) -> keras.Model:
    """Trains a judge on the training part of a data set; `main` says what the arguments are.

    Returns:
        keras.Model: see `judge_network`.
    """
    steps = -(-images // batch_size)
    batches = judge_batches(dataset, steps, batch_size, seed, flip)
    network = judge_network(dataset.image_shape, dataset.num_classes, width, seed, dtype_policy)
    network.get_layer("whiten").set_weights(whitening(dataset.images))
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
    network.fit(batches, callbacks=[Lookahead(steps), keras.callbacks.TerminateOnNaN()])
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

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        step = batch + 1
        if step % LOOKAHEAD_STEPS == 0 and step < self.steps:
            self._set(0.95**5 * (step / self.steps) ** 3)

    def on_train_end(self, logs: Any = None) -> None:
        if self.steps > LOOKAHEAD_STEPS:  # else it is still where the training began
            self._set(1.0)

    def _set(self, decay):
        for average, weight in zip(self._average, self.model.get_weights(), strict=True):
            average += (1 - decay) * (weight - average)
        self.model.set_weights(self._average)


if __name__ == "__main__":
    tyro.cli(main)
