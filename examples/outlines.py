"""Draws six things and writes their outlines, as `--data.condition edges` makes them of images.

python examples/outlines.py outlines
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from kdiffusion.condition_images import condition_image
from kdiffusion.images import to_model_range, to_uint8

SIZE = 32  # pixels
FINE = 16  # each is drawn so many times as large
# Name: (method of Pillow's ImageDraw, its coordinates in pixels, grey) of each part.
SHAPES = {
    "1_potion": [
        ("ellipse", (7, 12, 25, 29), 40), ("ellipse", (8.5, 13.5, 23.5, 27.5), 150),
        ("rectangle", (13, 5, 19, 14), 40), ("rectangle", (14, 6, 18, 14), 170),
        ("rectangle", (8.7, 20, 23.3, 21), 60), ("rectangle", (12.5, 3, 19.5, 6), 60),
    ],
    "2_sword": [
        ("polygon", (9, 20, 24, 4, 28, 3, 27, 8, 12, 23), 30),
        ("polygon", (10, 20.5, 24.5, 5.5, 26.5, 5, 26, 7, 12, 21.5), 190),
        ("polygon", (5, 18, 7, 16, 16, 25, 14, 27), 30),
        ("polygon", (4, 26, 9, 21, 11, 23, 6, 28), 60),
    ],
    "3_book": [
        ("polygon", (4, 12, 18, 5, 28, 20, 14, 28), 30),
        ("polygon", (5.5, 12.5, 17.5, 6.5, 26.5, 19.5, 14.5, 26), 110),
        ("polygon", (14, 28, 28, 20, 28, 23, 14, 30), 200),
    ],
    "4_shield": [
        ("polygon", (5, 5, 27, 5, 27, 16, 16, 29, 5, 16), 30),
        ("polygon", (7, 7, 25, 7, 25, 15.5, 16, 26, 7, 15.5), 140),
        ("rectangle", (14.5, 7, 17.5, 24), 70), ("rectangle", (7, 11, 25, 14), 70),
    ],
    "5_ring": [
        ("ellipse", (6, 10, 26, 30), 60), ("ellipse", (10, 14, 22, 26), 255),
        ("polygon", (12, 5, 20, 5, 22, 8, 16, 14, 10, 8), 30),
        ("polygon", (13, 6, 19, 6, 20.5, 8, 16, 12.5, 11.5, 8), 170),
    ],
    "6_ghost": [
        ("ellipse", (6, 4, 26, 24), 60), ("rectangle", (6, 14, 26, 25), 60),
        ("polygon", (6, 25, 26, 25, 26, 28, 23, 25, 19, 29, 16, 25, 13, 29, 9, 25, 6, 28), 60),
        ("ellipse", (10, 11, 14, 16), 230), ("ellipse", (18, 11, 22, 16), 230),
    ],
}  # fmt: skip


def draw(parts: list) -> np.ndarray:
    """A drawing on white, uint8 `[32, 32, 1]`."""
    canvas = Image.new("L", (SIZE * FINE, SIZE * FINE), 255)
    for method, coordinates, grey in parts:
        scaled = [FINE * each for each in coordinates]
        getattr(ImageDraw.Draw(canvas), method)(scaled, fill=grey)
    return np.asarray(canvas.resize((SIZE, SIZE), Image.Resampling.LANCZOS))[..., None]


def main(folder: Path) -> None:
    """Writes the outlines as PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    drawings = to_model_range(np.stack([draw(parts) for parts in SHAPES.values()]))
    outlines = to_uint8(condition_image("edges", drawings, np.empty(0)))
    for name, outline in zip(SHAPES, outlines, strict=True):
        Image.fromarray(outline[..., 0]).save(folder / f"{name}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
