"""What more training gives: quality against images seen and processor hours, as a plot.

    python -m benchmarks.quality_curve docs/results/quality_curve.csv --images-per-second 135

A row of the file is an evaluation: the images that the network had seen, and what
`kdiffusion evaluate` said of it. Add one for each that is measured alike. Lines through the points
are power laws, whose exponents it prints; they go on, dashed, to four times the images. Where a
network is past real images there is no line.
"""

import csv
from pathlib import Path
from typing import Annotated

import matplotlib
import numpy as np
import tyro

from kdiffusion.commands.command_line import run_command
from kdiffusion.files import staged

matplotlib.use("Agg")
import matplotlib.pyplot as plt

# Column of the file ► (title, how far its value is from perfect, which falls as a power).
SHOWN = {
    "frechet_distance": ("Fréchet distance", lambda value, real: value - real),
    "kernel_distance": ("kernel distance", lambda value, real: value - real),
    "share_as_asked": ("share read as asked", lambda value, real: real - value),
    "coverage": ("coverage", lambda value, real: real - value),
}
CORES = 2


def power_law(images: np.ndarray, distances: np.ndarray) -> tuple[float, float]:
    """(a, b) of distance = a images^b, by least squares of the logarithms."""
    exponent, logarithm = np.polyfit(np.log(images), np.log(distances), 1)
    return float(np.exp(logarithm)), float(exponent)


def main(
    table: Annotated[Path, tyro.conf.Positional],
    images_per_second: float,
    overwrite: bool = False,
):
    """Draws the plot beside the table, and prints what the power laws say.

    Args:
        table: CSV file: images, and the columns that are shown. The row of 0 images is of held-out
            real images.
        images_per_second: of the training alone on two cores.
        overwrite: replace the plot.
    """
    with table.open(encoding="utf-8", newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    real = next((row for row in rows if row["images"] == 0), None)
    if real is None or len(rows) < 3:
        raise ValueError(
            "`table` must have a row of 0 images, of held-out real ones, and two of networks. "
            f"Received: {len(rows)} rows of {table}"
        )
    rows = sorted((row for row in rows if row["images"]), key=lambda row: row["images"])
    images = np.array([row["images"] for row in rows])
    further = np.geomspace(images[0], 4 * images[-1], 50)
    figure, panels = plt.subplots(2, 2, figsize=(10, 7.5), layout="constrained")
    for panel, (column, (title, distance)) in zip(panels.flat, SHOWN.items(), strict=True):
        values = np.array([row[column] for row in rows])
        distances = distance(values, real[column])
        (points,) = panel.plot(images / 1e6, values, "o")
        if np.all(distances > 0):
            scale, exponent = power_law(images, distances)
            lost = scale * further**exponent
            line = real[column] + (lost if distance(1, 0) > 0 else -lost)
            seen = further <= images[-1]
            panel.plot(further[seen] / 1e6, line[seen], color=points.get_color())
            panel.plot(further[~seen] / 1e6, line[~seen], "--", color=points.get_color())
            print(
                f"{title}: its distance from real images goes as images^{exponent:.2f}; "
                f"{line[-1]:.3g} at {further[-1] / 1e6:.1f} M"
            )
        else:  # guidance draws what is typical, which reads more easily than real images
            print(f"{title}: past that of real images, so that no power law is drawn")
        panel.axhline(real[column], color="grey", linewidth=1)
        panel.annotate(
            "held-out real images", (0.02, real[column]), xycoords=("axes fraction", "data"),
            ha="left", va="bottom" if distance(1, 0) > 0 else "top", color="grey", fontsize=9,
        )  # fmt: skip
        panel.set(title=title, xscale="log", xlabel="images seen, millions")
        ticks = 2.0 ** np.arange(-1, np.log2(further[-1] / 1e6))
        panel.set_xlim(ticks[0], 1.1 * further[-1] / 1e6)
        panel.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        panel.minorticks_off()
        panel.grid(alpha=0.3)
        to_hours = CORES * 1e6 / images_per_second / 3600
        hours = panel.secondary_xaxis(
            "top", functions=(lambda x, k=to_hours: x * k, lambda x, k=to_hours: x / k)
        )
        hours.set_xticks([t * to_hours for t in ticks], [f"{t * to_hours:.1f}" for t in ticks])
        hours.minorticks_off()
        hours.set_xlabel("processor hours")
    out = table.with_suffix(".png")
    with staged(out, overwrite) as path:
        figure.savefig(path, dpi=110, format="png")
    print(f"Written: {out}")


if __name__ == "__main__":
    run_command(main, "benchmarks.quality_curve")
