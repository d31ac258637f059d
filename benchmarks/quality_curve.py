"""What more training gives: the evaluations that a run made of itself, as a table and a plot.

    python -m benchmarks.quality_curve curve.csv --run runs/cifar10_small --held-out evaluation.json

A row of the table is one evaluation; the row of 0 images is of held-out real ones.
"""

import csv
import json
from pathlib import Path
from typing import Annotated

import matplotlib
import tyro

matplotlib.use("Agg")
import matplotlib.pyplot as plt

# Column of the table ► title.
SHOWN = {
    "frechet_distance": "Fréchet distance",
    "share_as_asked": "accuracy as asked",
    "kernel_distance": "kernel distance",
    "recall": "recall",
}
COLUMNS = ("images", *SHOWN, "grain_levels")
TICKS = (0.2, 0.5, 1, 2, 5, 10, 20)  # millions of images


def main(
    table: Annotated[Path, tyro.conf.Positional],
    run: Path | None = None,
    held_out: Path | None = None,
):
    """Draws the plot beside the table, which it writes first where a run is given.

    Args:
        table: CSV file.
        run: folder of a run that evaluated itself (--evaluation.every-epochs).
        held_out: evaluation.json of as many samples, whose figures of held-out images are the
            table's first row.
    """
    if run is not None and held_out is not None:
        real = json.loads(held_out.read_text())["real"]
        rows = [{**real, "images": 0}, *evaluations(run)]
        with table.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
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


def evaluations(run: Path) -> list[dict[str, float]]:
    """The figures that TensorBoard has of a run's evaluations, by step, with its images so far."""
    from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    batch_size = json.loads((run / "config.json").read_text())["config"]["optimizer"]["batch_size"]
    events = EventAccumulator(str(run / "tensorboard/evaluation"), {"tensors": 0}).Reload()
    rows: dict[int, dict[str, float]] = {}
    for name in COLUMNS[1:]:
        for event in events.Tensors(f"evaluation/{name}"):
            row = rows.setdefault(event.step, {"images": event.step * batch_size})
            row[name] = float(make_ndarray(event.tensor_proto))
    return [rows[step] for step in sorted(rows)]


if __name__ == "__main__":
    tyro.cli(main)
