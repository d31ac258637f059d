"""Draws the loss curve of a run from its TensorBoard logs, and prints what the run cost.

python benchmarks/plot_run.py RUN_DIR --out docs/results/loss.png
"""

from pathlib import Path
from typing import Annotated

import matplotlib
import tyro
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from kdiffusion.runs.run_directory import RunDirectory

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def _scalars(folder, tag):
    """(steps, values) of a scalar, in the order of its steps."""
    events = EventAccumulator(str(folder), {"tensors": 0}).Reload().Tensors(tag)
    points = sorted((event.step, float(make_ndarray(event.tensor_proto))) for event in events)
    return [step for step, _ in points], [value for _, value in points]


def main(run_dir: Annotated[Path, tyro.conf.Positional], out: Path):
    """Plots training and validation loss by epoch, and the loss of each quarter of the timesteps.

    Args:
        run_dir: folder of a run.
        out: PNG to write.
    """
    run = RunDirectory.read(run_dir)
    train, validation = run.tensorboard / "train", run.tensorboard / "validation"
    figure, (whole, quarters) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    for folder, name in ((train, "training, live weights"), (validation, "validation, average")):
        numbers, losses = _scalars(folder, "epoch/loss")
        whole.plot(numbers, losses, "o-", markersize=3, label=name)
    num_timesteps = run.config.diffusion.num_timesteps
    for quarter in range(4):
        low, high = (-(-part * num_timesteps // 4) for part in (quarter, quarter + 1))
        numbers, losses = _scalars(validation, f"epoch/loss_t{low}_{high - 1}")
        quarters.plot(numbers, losses, "o-", markersize=3, label=f"t {low} to {high - 1}")
    for axes, title in ((whole, "loss"), (quarters, "validation loss by timestep")):
        axes.set(title=title, xlabel=run.config.run.x_axis, yscale="log")
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(out, dpi=120)

    steps, rates = _scalars(train, "batch/images_per_second")
    batch_size = 1 if run.config.run.x_axis == "images" else run.config.optimizer.batch_size
    images = steps[-1] * batch_size
    training_minutes = sum(
        (step - before) * batch_size / rate / 60
        for step, before, rate in zip(steps, [0, *steps], rates, strict=False)
    )
    print(f"{images:,} images in {training_minutes:.0f} minutes of training", end=", ")
    print(f"{images / training_minutes / 60:.0f} images per second")
    print(f"validation loss {_scalars(validation, 'epoch/loss')[1][-1]:.4f}; written: {out}")


if __name__ == "__main__":
    tyro.cli(main)
