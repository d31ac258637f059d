"""Are the colours of drawn images those of real ones? Means, spreads and saturation, side by side.

python -m benchmarks.colours evaluation/drawn --data cifar10
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from kdiffusion.data import load_dataset
from kdiffusion.evaluation.image_sets import open_images
from kdiffusion.evaluation.measures import grain_levels


def figures(images: np.ndarray) -> dict[str, str]:
    """What is told of uint8 images `[N, H, W, 3]`, in levels of 255 but for shares."""
    pixels = images.astype(np.float32)
    highest, lowest = pixels.max(axis=-1), pixels.min(axis=-1)
    saturation = (highest - lowest) / np.maximum(highest, 1)
    cast = pixels.mean(axis=(1, 2))
    cast -= cast.mean(axis=1, keepdims=True)
    by_image = saturation.mean(axis=(1, 2))
    return {
        "mean of red, green, blue": _levels(pixels.mean(axis=(0, 1, 2), dtype=np.float64)),
        "standard deviation of each": _levels(pixels.reshape(-1, 3).std(axis=0, dtype=np.float64)),
        "spread of an image's cast: red, green, blue": _levels(cast.std(axis=0)),
        "contrast within an image": _levels([pixels.mean(-1).std(axis=(1, 2)).mean()]),
        "saturation, 0 to 1": f"{saturation.mean():.3f}",
        "that of 5, 50, 95 % of the images": ", ".join(
            f"{value:.2f}" for value in np.quantile(by_image, (0.05, 0.5, 0.95))
        ),
        "values that are 0 or 255": f"{np.mean((images == 0) | (images == 255)):.1%}",
        "grain": _levels([grain_levels(images).mean()]),
    }


def _levels(values):
    return ", ".join(f"{value:.1f}" for value in values)


def main(drawn: Annotated[Path, tyro.conf.Positional], data: str = "cifar10") -> None:
    """Prints a table in Markdown.

    Args:
        drawn: images, as `kdiffusion evaluate` takes them.
        data: name of the data set whose held-out images are the real ones.
    """
    images = open_images(drawn).images
    columns = figures(images), figures(load_dataset(data).validation_images)
    print("| | drawn | held-out real |\n|---|---|---|")
    for name in columns[0]:
        print(f"| {name} | {columns[0][name]} | {columns[1][name]} |")


if __name__ == "__main__":
    tyro.cli(main)
