"""What more training gives: quality against the number of training images, as a plot.

    python -m benchmarks.quality_curve docs/results/quality_curve.csv

A row of the file is one evaluation; the row of 0 images is of held-out real ones.
"""

import csv
from pathlib import Path
from typing import Annotated

import matplotlib
import tyro

matplotlib.use("Agg")
import matplotlib.pyplot as plt

# Column of the file ► title.
SHOWN = {
    "frechet_distance": "Fréchet distance",
    "share_as_asked": "accuracy as asked",
    "coverage": "coverage",
    "recall": "recall",
}
TICKS = (0.2, 0.5, 1, 2, 5, 10)  # millions of images


def main(table: Annotated[Path, tyro.conf.Positional]):
    """Draws the plot beside the table.

    Args:
        table: CSV file with a column of images and those that are shown.
    """
    with table.open(encoding="utf-8", newline="") as file:
        real, *rows = csv.DictReader(file)
    images = [float(row["images"]) / 1e6 for row in rows]
    figure, panels = plt.subplots(2, 2, figsize=(10, 7), layout="constrained")
    for panel, (column, title) in zip(panels.flat, SHOWN.items(), strict=True):
        panel.plot(images, [float(row[column]) for row in rows], "o-")
        panel.axhline(float(real[column]), color="grey", linewidth=1, label="held-out real images")
        panel.legend()
        panel.set(title=title, xscale="log", xlabel="training images, millions")
        panel.set_xticks(TICKS, TICKS)
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    figure.savefig(table.with_suffix(".png"), dpi=110)


if __name__ == "__main__":
    tyro.cli(main)
