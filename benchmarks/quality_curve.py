"""What more training gives: quality against the number of training images, as a plot.

    python -m benchmarks.quality_curve docs/results/quality_curve.csv

A row of the file is one evaluation; the row of 0 images is of held-out real ones. Lines through the
points are power laws of the distance from real images, drawn on to four times the images.
"""

import csv
from pathlib import Path
from typing import Annotated

import matplotlib
import numpy as np
import tyro

matplotlib.use("Agg")
import matplotlib.pyplot as plt

# Column of the file ► (title, whether less of it is better).
SHOWN = {
    "frechet_distance": ("Fréchet distance", True),
    "kernel_distance": ("kernel distance", True),
    "share_as_asked": ("accuracy as asked", False),
    "coverage": ("coverage", False),
    "recall": ("recall", False),
    "structure": ("structure (the network's error)", True),
}
TICKS = (0.2, 0.5, 1, 2, 5, 10, 20)  # millions of images


def main(table: Annotated[Path, tyro.conf.Positional], law_from: float = 1e6):
    """Draws the plot beside the table, and prints the exponents of the power laws.

    Args:
        table: CSV file with a column of images and those that are shown.
        law_from: training images from which on points make the power laws.
    """
    with table.open(encoding="utf-8", newline="") as file:
        rows = [{k: float(v or "nan") for k, v in row.items()} for row in csv.DictReader(file)]
    rows.sort(key=lambda row: row["images"])
    real, *rows = rows
    images = np.array([row["images"] for row in rows])
    later = images >= law_from
    further = np.geomspace(images[later][0], 4 * images[-1], 50)
    figure, panels = plt.subplots(2, 3, figsize=(15, 7.5), layout="constrained")
    for panel, (column, (title, less)) in zip(panels.flat, SHOWN.items(), strict=True):
        values = np.array([row[column] for row in rows])
        panel.plot(images / 1e6, values, "o")
        sign = 1 if less else -1
        distances = sign * (values - real[column])
        if np.all(distances > 0):  # not of what guidance takes past real images
            exponent, log_scale = np.polyfit(np.log(images[later]), np.log(distances[later]), 1)
            line = real[column] + sign * np.exp(log_scale) * further**exponent
            panel.plot(further / 1e6, line, "--")
            print(f"{title}: the distance from real images falls as images^{exponent:.2f}")
        if not np.isnan(real[column]):
            panel.axhline(real[column], color="grey", linewidth=1, label="held-out real images")
            panel.legend()
        panel.set(title=title, xscale="log", xlabel="training images, millions")
        panel.set_xticks(TICKS, TICKS)
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    figure.savefig(table.with_suffix(".png"), dpi=110)


if __name__ == "__main__":
    tyro.cli(main)
