"""A few real training steps of any preset: its parameters, its step time, and a run to export.

    python -m benchmarks.step_time cifar10_paper --steps 4

With --run-dir runs/paper_trial the run is kept, for python -m kdiffusion export runs/paper_trial.
"""

import time
from pathlib import Path
from typing import Annotated

import keras
import numpy as np
import tyro

from kdiffusion.data import load_dataset, training_batches
from kdiffusion.runs import PRESETS
from kdiffusion.runs.build import build_model
from kdiffusion.runs.checkpoints import Checkpoints
from kdiffusion.runs.run_directory import RunDirectory, check_free

PresetName = tyro.extras.literal_type_from_choices(list(PRESETS))


class StepTimes(keras.callbacks.Callback):
    """Seconds of each step."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def on_train_batch_begin(self, batch, logs=None):
        self._start = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self.seconds.append(time.perf_counter() - self._start)


def main(
    preset: Annotated[PresetName, tyro.conf.Positional],
    steps: int = 4,
    run_dir: Path | None = None,
):
    """Trains a preset for a few steps of its own batch size.

    Args:
        preset: which.
        steps: how many, the first of which also compiles and isn't counted.
        run_dir: folder that keeps the run, with a checkpoint of the last step; None keeps none.
    """
    config = PRESETS[preset]
    if run_dir is not None:
        check_free(run_dir)
    dataset = load_dataset(config.data.name, image_size=config.data.image_size)
    model = build_model(config, dataset.image_shape, dataset.num_classes, total_steps=steps)
    times = StepTimes()
    batches = training_batches(dataset, config.optimizer.batch_size, seed=config.run.seed)
    model.fit(batches, steps_per_epoch=steps, callbacks=[times], shuffle=False)
    if run_dir is not None:
        directory = RunDirectory(
            run_dir, config, dataset.image_shape, dataset.class_names, len(dataset.images)
        )
        directory.write()
        Checkpoints(model, directory.checkpoints).save()
    seconds, batch_size = np.median(times.seconds[1:]), config.optimizer.batch_size
    print(
        f"{preset}: {model.network.count_params():,} parameters; {seconds:.2f} s a step of "
        f"{batch_size}, {batch_size / seconds:.1f} images per second"
    )


if __name__ == "__main__":
    tyro.cli(main)
