"""Compares the numbers that samples show with those that were asked for.

    python -m benchmarks.glyphs runs/glyphs

docs/conditions.md says how that run is made. Each sample is compared with the font drawn at every
thickness and slant of a fine grid: the nearest says what the sample shows.
"""

from typing import Annotated

import numpy as np
import tyro

from examples.glyphs import SIZE, SLANT, THICKNESS, draw
from kdiffusion import load_denoiser, sample, to_uint8

STEPS = 41  # of the grid in each direction


def main(model: Annotated[str, tyro.conf.Positional], images: int = 500) -> None:
    """Prints the correlation and the typical difference of each number, asked and shown.

    Args:
        model: an exported file, or a run's folder.
        images: number of samples, whose numbers and classes are drawn at random.
    """
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, images)
    asked = {"thickness": rng.uniform(*THICKNESS, images), "slant": rng.uniform(*SLANT, images)}
    samples = to_uint8(sample(load_denoiser(model), labels, numbers=asked))
    shown = np.array(
        [read(each[..., 0], label) for each, label in zip(samples, labels, strict=True)]
    )
    for name, values in zip(asked, shown.T, strict=True):
        r = np.corrcoef(asked[name], values)[0, 1]
        print(
            f"{name}: r = {r:.4f}, median difference {np.median(np.abs(asked[name] - values)):.3f}"
        )


TABLES: dict[int, tuple[np.ndarray, np.ndarray]] = {}


def read(image: np.ndarray, digit: int) -> np.ndarray:
    """(thickness, slant) of the font's digit that is nearest to uint8 `[28, 28]`."""
    if digit not in TABLES:
        grid = np.stack(np.meshgrid(*(np.linspace(*e, STEPS) for e in (THICKNESS, SLANT))), -1)
        numbers = grid.reshape(-1, 2)
        TABLES[digit] = numbers, np.stack([draw(digit, *each) for each in numbers])
    numbers, drawn = TABLES[digit]
    errors = np.square(drawn.astype(float) - image.reshape(1, SIZE, SIZE)).sum((1, 2))
    return numbers[np.argmin(errors)]


if __name__ == "__main__":
    tyro.cli(main)
