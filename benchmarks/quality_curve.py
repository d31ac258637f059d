"""What more training gives: quality against images seen and processor hours, as a plot.

    python -m benchmarks.quality_curve docs/results/quality_curve.csv --images-per-second 129

A row of the file is an evaluation: the images that the network had seen, and what
`kdiffusion evaluate` said of it. Add one for each that is measured alike. Lines through the points
are power laws, whose exponents it prints; they go on, dashed, to four times the images. Where a
network is past real images there is no line; structure, which real images don't have, has none
either.
"""

import csv
from pathlib import Path
from typing import Annotated

import matplotlib
import numpy as np
import tyro

from kdiffusion.files import staged

matplotlib.use("Agg")
import matplotlib.pyplot as plt

# Column of the file ► (title, whether less of it is better).
SHOWN = {
    "frechet_distance": ("Fréchet distance", True),
    "kernel_distance": ("kernel distance", True),
    "share_as_asked": ("share read as asked", False),
    "coverage": ("coverage", False),
    "recall": ("recall", False),
    "structure": ("structure (the network's error)", True),
}
CORES = 2


def power_law(images: np.ndarray, distances: np.ndarray) -> tuple[float, float]:
    """(a, b) of distance = a images^b, by least squares of the logarithms."""
    exponent, logarithm = np.polyfit(np.log(images), np.log(distances), 1)
    return float(np.exp(logarithm)), float(exponent)


def main(
    table: Annotated[Path, tyro.conf.Positional],
    images_per_second: float,
    law_from: float = 0,
    overwrite: bool = False,
):
    """Draws the plot beside the table, and prints what the power laws say.

    Args:
        table: CSV file: images, and the columns that are shown. The row of 0 images is of held-out
            real images; what they can't have is left empty.
        images_per_second: of the training alone on two cores.
        law_from: images seen from which on points make the power laws. The first ones fall slower.
        overwrite: replace the plot.
    """
    with table.open(encoding="utf-8", newline="") as file:
        rows = [
            {name: float(value) if value else np.nan for name, value in row.items()}
            for row in csv.DictReader(file)
        ]
    real = next((row for row in rows if row["images"] == 0), None)
    if real is None or len(rows) < 3:
        raise ValueError(
            "`table` must have a row of 0 images, of held-out real ones, and two of networks. "
            f"Received: {len(rows)} rows of {table}"
        )
    rows = sorted((row for row in rows if row["images"]), key=lambda row: row["images"])
    images = np.array([row["images"] for row in rows])
    later = images >= law_from
    if later.sum() < 2:
        raise ValueError(f"`law_from` must leave two points. Received: {law_from:g}")
    further = np.geomspace(images[later][0], 4 * images[-1], 50)
    figure, panels = plt.subplots(2, 3, figsize=(15, 7.5), layout="constrained")
    for panel, (column, (title, less)) in zip(panels.flat, SHOWN.items(), strict=True):
        values = np.array([row[column] for row in rows])
        (points,) = panel.plot(images / 1e6, values, "o")
        sign = 1 if less else -1
        distances = sign * (values - real[column])
        if np.all(distances > 0):
            scale, exponent = power_law(images[later], distances[later])
            line = real[column] + sign * scale * further**exponent
            seen = further <= images[-1]
            panel.plot(further[seen] / 1e6, line[seen], color=points.get_color())
            panel.plot(further[~seen] / 1e6, line[~seen], "--", color=points.get_color())
            print(
                f"{title}: its distance from real images goes as images^{exponent:.2f}; "
                f"{line[-1]:.3g} at {further[-1] / 1e6:.1f} M"
            )
        elif np.any(distances <= 0):  # guidance draws what is typical, which reads more easily
            print(f"{title}: past that of real images, so that no power law is drawn")
        if not np.isnan(real[column]):
            panel.axhline(real[column], color="grey", linewidth=1)
            panel.annotate(
                "held-out real images", (0.02, real[column]), xycoords=("axes fraction", "data"),
                ha="left", va="bottom" if less else "top", color="grey", fontsize=9,
            )  # fmt: skip
        panel.set(title=title, xscale="log", xlabel="images seen, millions")
        ticks = 2.0 ** np.arange(np.floor(np.log2(images[0] / 1e6)), np.log2(further[-1] / 1e6))
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
    tyro.cli(main)
