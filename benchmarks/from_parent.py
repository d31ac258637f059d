"""How many images a run saves that starts from another's weights: inverted digits from the digits.

    python -m benchmarks.from_parent  # 8 minutes on two cores

Runs of several lengths, each with its own end, on the digits in black on white: from noise, and
from the released network of the digits, which has seen white on black alone. Validation losses
compare: they are of the same images, noise and timesteps.
"""

import dataclasses
import tempfile
from pathlib import Path

import numpy as np
import tyro
from PIL import Image

from kdiffusion.data import load_dataset
from kdiffusion.runs import PRESETS, train
from kdiffusion.runs.checkpoints import RECORD
from kdiffusion.runs.sealed import read_sealed


def main(epochs: tuple[int, ...] = (5, 10, 20, 40, 80), parent_epochs: tuple[int, ...] = (5, 10)):
    """Trains, and prints a table in Markdown and the factor for each run from the parent.

    Args:
        epochs: lengths of the runs from noise, rising.
        parent_epochs: lengths of the runs from the parent.
    """
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder, "inverted")
        seen = _write_inverted(images)
        losses = {}
        print("| begins with | epochs | images | validation loss |\n|---|---|---|---|")
        for parent, lengths in ((None, epochs), ("digits", parent_epochs)):
            for length in lengths:
                run_dir = Path(folder, f"{parent}_{length}")
                loss = losses[parent, length] = _train(images, run_dir, length, parent)
                begin = "noise" if parent is None else f"the weights of `{parent}`"
                print(f"| {begin} | {length} | {seen * length:,} | {loss:.4f} |", flush=True)
        curve = [losses[None, length] for length in epochs]
        for length in parent_epochs:
            loss = losses["digits", length]
            if not curve[-1] <= loss <= curve[0]:
                print(f"{length} epochs from the parent: beyond what was tried from noise")
                continue
            # Both fall: between two lengths, along a line in the logarithm of the length.
            needed = np.exp(np.interp(-loss, -np.array(curve), np.log(epochs)))
            print(
                f"{length} epochs from the parent: as good as {needed:.0f} from noise, "
                f"{needed / length:.1f} times as many"
            )


def _write_inverted(folder):
    """The digits as PNG files, black on white, in a folder a class; how many an epoch trains on."""
    data = load_dataset("digits")
    pixels = 255 - np.concatenate([data.images, data.validation_images])
    labels = np.concatenate([data.labels, data.validation_labels])
    for index, (image, label) in enumerate(zip(pixels, labels, strict=True)):
        path = folder / data.class_names[label] / f"{index:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(path)
    size = PRESETS["digits"].optimizer.batch_size
    return len(data.images) // size * size


def _train(images, run_dir, epochs, parent):
    """The validation loss at the end of a run."""
    preset = PRESETS["digits"]
    config = dataclasses.replace(
        preset,
        data=dataclasses.replace(preset.data, name="folder", directory=str(images)),
        optimizer=dataclasses.replace(preset.optimizer, epochs=epochs, warmup_steps=20),
        run=dataclasses.replace(
            preset.run, init_from=parent, sample_every_epochs=epochs, checkpoint_every_epochs=epochs
        ),
    )
    train(config, run_dir)
    newest = max((run_dir / "checkpoints").glob("step_*"))
    return read_sealed(newest / RECORD)["logs"]["val_loss"]


if __name__ == "__main__":
    tyro.cli(main)
