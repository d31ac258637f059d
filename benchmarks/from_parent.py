"""How many images a run saves that starts from a released model's weights.

    python -m benchmarks.from_parent             # 8 minutes on two cores
    python -m benchmarks.from_parent cifar10_5m  # half an hour on two cores with bfloat16
    python -m benchmarks.from_parent cifar10_5m --lengths 5 --picture from_parent.png  # two runs

Runs of several lengths, each with its own end, from noise and from the model, on images that the
model hasn't seen the like of: the digits in black on white; 2,000 held-out images of CIFAR-10 in
grey, as animals and vehicles. Validation losses compare: they are of the same images, noise and
timesteps.
"""

import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro
from PIL import Image

from kdiffusion.commands.outputs import refuse_outputs
from kdiffusion.data import load_dataset
from kdiffusion.images import image_grid, save_png, to_uint8
from kdiffusion.runs import PRESETS, train
from kdiffusion.runs.checkpoints import verify

DRAWN = 12  # of each class, by each run


@dataclasses.dataclass(frozen=True)
class Task:
    """What is trained.

    Attributes:
        preset: a key of PRESETS.
        write: function that writes a folder of images, with a sub-folder for each class.
        epochs: lengths of the runs from noise, rising, and from the model.
        optimizer: settings besides.
    """

    preset: str
    write: Callable[[Path], None]
    epochs: tuple[tuple[int, ...], tuple[int, ...]]
    optimizer: dict


def write_inverted_digits(folder):
    """The digits as PNG files, black on white."""
    data = load_dataset("digits")
    pixels = 255 - np.concatenate([data.images, data.validation_images])
    labels = np.concatenate([data.labels, data.validation_labels])
    for index, (image, label) in enumerate(zip(pixels, labels, strict=True)):
        _save(image[..., 0], folder / data.class_names[label] / f"{index:04d}.png")


def write_grey_cifar10(folder, count=2000):
    """Images of CIFAR-10 that were held out of the released model's training, in grey."""
    data = load_dataset("cifar10")
    vehicles = {"airplane", "automobile", "ship", "truck"}
    for index in range(count):
        grey = Image.fromarray(data.validation_images[index]).convert("L").convert("RGB")
        is_vehicle = data.class_names[data.validation_labels[index]] in vehicles
        _save(np.asarray(grey), folder / ("vehicle" if is_vehicle else "animal") / f"{index}.png")


def _save(pixels, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


TASKS = {
    "digits": Task(
        "digits", write_inverted_digits, ((5, 10, 20, 40, 80), (5, 10)), {"warmup_steps": 20}
    ),
    "cifar10_5m": Task(
        "cifar10_small", write_grey_cifar10, ((5, 10, 20, 40), (2, 5, 10)),
        {"warmup_steps": 20, "batch_size": 64},
    ),
}  # fmt: skip


def main(
    model: Annotated[Literal[*TASKS], tyro.conf.Positional] = "digits",
    lengths: tuple[int, ...] = (),
    picture: Path | None = None,
):
    """Trains, and prints a table in Markdown and the factor for each run from the model.

    Args:
        model: the released model to start from.
        lengths: epochs, of those that the task has; all if not given.
        picture: PNG to write: what each run draws of each class, from the same seeds.
    """
    refuse_outputs(picture, overwrite=False)
    task = TASKS[model]
    epochs, parent_epochs = (
        [each for each in own if each in lengths or not lengths] for own in task.epochs
    )
    if not epochs:
        raise ValueError(
            f"`lengths` must have one of a run from noise: {', '.join(map(str, task.epochs[0]))}. "
            f"Received: {', '.join(map(str, lengths))}"
        )
    rows, drawn = [], []
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder, "images")
        task.write(images)
        losses = {}
        print("| begins with | epochs | images | validation loss |\n|---|---|---|---|")
        for parent, lengths in ((None, epochs), (model, parent_epochs)):
            for length in lengths:
                run_dir = Path(folder, f"{parent}_{length}")
                run, loss = _train(task, images, run_dir, length, parent)
                losses[parent, length] = loss
                begin = "noise" if parent is None else f"the weights of `{parent}`"
                seen = run.card.images_seen
                print(f"| {begin} | {length} | {seen:,} | {loss:.4f} |", flush=True)
                if picture is not None:
                    names = run.card.class_names
                    rows += [f"{parent or 'noise'}, {length} epochs: {name}" for name in names]
                    labels = np.repeat(np.arange(len(names)), DRAWN)
                    drawn.append(run.model.sample(labels, range(len(labels))))
        if picture is not None:
            save_png(image_grid(to_uint8(np.concatenate(drawn)), DRAWN, rows, scale=2), picture)
        curve = [losses[None, length] for length in epochs]
        for length in parent_epochs:
            loss = losses[model, length]
            if not curve[-1] <= loss <= curve[0]:
                print(f"{length} epochs from the model: beyond what was tried from noise")
                continue
            # Both fall: between two lengths, along a line in the logarithm of the length.
            needed = np.exp(np.interp(-loss, -np.array(curve), np.log(epochs)))
            print(
                f"{length} epochs from the model: as good as {needed:.0f} from noise, "
                f"{needed / length:.1f} times as many"
            )


def _train(task, images, run_dir, epochs, parent):
    """(a run that has ended, its validation loss)."""
    preset = PRESETS[task.preset]
    config = dataclasses.replace(
        preset,
        data=dataclasses.replace(preset.data, name="folder", directory=str(images)),
        optimizer=dataclasses.replace(preset.optimizer, epochs=epochs, **task.optimizer),
        run=dataclasses.replace(
            preset.run, init_from=parent, sample_every_epochs=epochs, checkpoint_every_epochs=epochs
        ),
        evaluation=dataclasses.replace(preset.evaluation, every_epochs=0),
    )
    run = train(config, run_dir)
    newest = max((run_dir / "checkpoints").glob("step_*"))
    return run, verify(newest)["logs"]["val_loss"]


if __name__ == "__main__":
    tyro.cli(main)
