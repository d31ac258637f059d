"""How much training a run saves that starts from the weights of a released model.

    python -m benchmarks.from_parent    # 8 minutes on two cores

Runs of several lengths, from random weights and from the model `digits`, on images unlike those
that it was trained on: the digits in black on white. Validation losses compare, because they are of
the same images, noise and timesteps.
"""

import tempfile
from pathlib import Path

import numpy as np
import tyro
from PIL import Image

from kdiffusion import load_dataset
from kdiffusion.runs import PRESETS, train
from kdiffusion.runs.checkpoints import logs_of, newest_first


def main(
    random_epochs: tuple[int, ...] = (5, 10, 20, 40, 80),
    parent_epochs: tuple[int, ...] = (5, 10),
):
    """Trains, and prints a table in Markdown.

    Args:
        random_epochs: lengths of the runs from random weights, rising.
        parent_epochs: lengths of the runs from the model.
    """
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder, "images")
        _write_inverted_digits(images)
        print("| starts from | epochs | validation loss |\n|---|---|---|")

        def loss_of(parent, epochs):
            run_dir = Path(folder, f"{parent}_{epochs}")
            loss = _train(images, run_dir, epochs, parent)
            print(f"| {parent or 'random weights'} | {epochs} | {loss:.3f} |", flush=True)
            return loss

        curve = [loss_of(None, epochs) for epochs in random_epochs]
        # Between two lengths, the loss falls along a line in the logarithm of the length.
        for epochs in parent_epochs:
            loss = -loss_of("digits", epochs)
            equal = np.exp(np.interp(loss, -np.array(curve), np.log(random_epochs)))
            print(f"{epochs} epochs from the model are as good as {equal:.0f} from random weights")


def _write_inverted_digits(folder):
    data = load_dataset("digits")
    pixels = 255 - np.concatenate([data.images, data.validation_images])
    labels = np.concatenate([data.labels, data.validation_labels])
    for index, (image, label) in enumerate(zip(pixels, labels, strict=True)):
        path = folder / data.class_names[label] / f"{index:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(path)


def _train(images, run_dir, epochs, parent):
    config = PRESETS["digits"].replace(**{
        "data.name": "folder", "data.directory": str(images), "optimizer.epochs": epochs,
        "optimizer.warmup_steps": 20, "run.init_from": parent, "run.sample_every_epochs": epochs,
        "run.checkpoint_every_epochs": epochs, "evaluation.every_epochs": 0,
    })  # fmt: skip
    train(config, run_dir)
    return logs_of(newest_first(run_dir / "checkpoints")[0])["val_loss"]


if __name__ == "__main__":
    tyro.cli(main)
