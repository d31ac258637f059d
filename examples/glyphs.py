"""Writes a data set whose truth is known: digits of a font, with a thickness and a slant.

    python examples/glyphs.py glyphs

makes a folder for `--data.name folder --data.directory glyphs --data.numbers thickness slant`: one
sub-folder for each digit, and `metadata.csv` with both numbers of each image.
"""

import csv
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

IMAGES = 5000
SIZE = 28  # pixels
FINE = 8  # each is drawn so many times as large
THICKNESS = (0.0, 1.5)  # pixels added on each side of a line
SLANT = (-25.0, 25.0)  # degrees to the right


def draw(digit: int, thickness: float, slant: float) -> np.ndarray:
    """A digit as uint8 `[28, 28]`, white on black."""
    side = SIZE * FINE
    canvas = Image.new("L", (side, side))
    ImageDraw.Draw(canvas).text(
        (side / 2, side / 2), str(digit), 255, ImageFont.load_default(20 * FINE), anchor="mm",
        stroke_width=thickness * FINE, stroke_fill=255,
    )  # fmt: skip
    shear = np.tan(np.radians(slant))
    slanted = canvas.transform(
        canvas.size, Image.Transform.AFFINE, (1, shear, -shear * side / 2, 0, 1, 0),
        Image.Resampling.BILINEAR,
    )  # fmt: skip
    return np.asarray(slanted.resize((SIZE, SIZE), Image.Resampling.BOX))


def main(folder: Path) -> None:
    """Writes the images and their numbers."""
    rng, rows = np.random.default_rng(0), []
    for i in range(IMAGES):
        thickness, slant = (round(float(rng.uniform(*ends)), 3) for ends in (THICKNESS, SLANT))
        name = f"{i % 10}/{i:05d}.png"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw(i % 10, thickness, slant)).save(folder / name)
        rows.append((name, thickness, slant))
    with open(folder / "metadata.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("file_name", "thickness", "slant"), *rows])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
