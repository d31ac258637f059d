"""Are the colours of samples those of real images? Means, spreads and saturation, side by side.

python -m benchmarks.colours evaluation/samples --data cifar10
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from kdiffusion import load_dataset
from kdiffusion.parts.evaluation.image_sets import open_images
from kdiffusion.parts.evaluation.measures import grain_levels


def figures(images: np.ndarray) -> dict[str, np.ndarray]:
    """Colour statistics of uint8 images `[N, H, W, 3]`, in levels of 255 except for shares."""
    pixels = images.astype(np.float32)
    highest, lowest = pixels.max(axis=-1), pixels.min(axis=-1)
    saturation = (highest - lowest) / np.maximum(highest, 1)
    cast = pixels.mean(axis=(1, 2))
    cast -= cast.mean(axis=1, keepdims=True)
    return {
        "mean of red, green, blue": pixels.mean(axis=(0, 1, 2), dtype=np.float64),
        "standard deviation of each": pixels.reshape(-1, 3).std(axis=0, dtype=np.float64),
        "spread of the images' casts: red, green, blue": cast.std(axis=0),
        "contrast within an image": pixels.mean(-1).std(axis=(1, 2)).mean(),
        "saturation, 0 to 1": saturation.mean(),
        "its 5 %, 50 % and 95 % quantiles over images": np.quantile(
            saturation.mean(axis=(1, 2)), (0.05, 0.5, 0.95)
        ),
        "share of values that are 0 or 255": np.mean((images == 0) | (images == 255)),
        "grain": grain_levels(images).mean(),
    }


def main(samples: Annotated[Path, tyro.conf.Positional], data: str = "cifar10") -> None:
    """Prints a table in Markdown.

    Args:
        samples: images, as `kdiffusion evaluate` takes them.
        data: name of the data set whose held-out images are the real ones.
    """
    drawn = figures(open_images(samples).images)
    real = figures(load_dataset(data).validation_images)
    print("| | samples | held-out real images |\n|---|---|---|")
    for name, values in drawn.items():
        cells = (", ".join(f"{v:.4g}" for v in np.atleast_1d(c)) for c in (values, real[name]))
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    tyro.cli(main)
