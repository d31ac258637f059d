"""What each part of a recipe gives: whole short runs, one after another, measured alike.

    python -m benchmarks.ladder docs/results/ladder.csv --arms recipe AdamW --runs runs/ladder

An arm is the preset `cifar10_small` with some of its settings changed. It is trained for --epochs,
with its own end of the learning rate, and then drawn from. Each arm adds a row to the table, which
is printed in Markdown at the end. Stopped and started again, the ladder goes on. An arm takes half
an hour on two cores where the processor multiplies bfloat16.

All arms see as many images, so rows compare whatever else the machine does. Validation losses don't
compare, since arms weigh noise levels differently; errors of the network and drawn images do.
"""

import csv
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import tyro

from kdiffusion.artifacts import load_denoiser
from kdiffusion.files import staged

# The noise levels that the released models were trained with, and the first arms.
LOG_NORMAL = "--diffusion.timestep-sampling log_normal --diffusion.loss-weighting edm"
# Each is one change to the recipe as it was when most of them ran: every timestep as often.
CHANGES = {
    "stratified timesteps": "",
    "stratified timesteps, another seed": "--run.seed 1",
    "AdamW": "--optimizer.name adamw",
    "AdamW at 1e-3": "--optimizer.name adamw --optimizer.learning-rate 1e-3",
    "Muon at 1e-3": "--optimizer.learning-rate 1e-3",
    "Muon at 4e-3": "--optimizer.learning-rate 4e-3",
    "batch of 64": "--optimizer.batch-size 64",
    "every timestep alike": "--diffusion.loss-weighting simple",
    "learned weighting": "--diffusion.learned-weighting",
    "learned weighting, another seed": "--diffusion.learned-weighting --run.seed 1",
    "condition added": "--model.no-scale-shift",
    "attention at 8x8 and 4x4": "--model.attention-resolutions 8 4",
    "wider": "--model.base-channels 96 --model.channel-multipliers 1 2 2",
    "former recipe": (
        "--optimizer.name adamw --optimizer.learning-rate 1e-3 --optimizer.beta-2 0.999 "
        "--optimizer.learning-rate-shape cosine --optimizer.final-learning-rate-fraction 0.02 "
        "--model.no-scale-shift --model.attention-resolutions 8 4"
    ),
}
# Name ► options of `train.py cifar10_small`.
ARMS = {
    "recipe": "",
    "recipe, another seed": "--run.seed 1",
    "log-normal noise levels": LOG_NORMAL,
    "log-normal noise levels, another seed": f"{LOG_NORMAL} --run.seed 1",
    "log-normal noise levels, AdamW": f"{LOG_NORMAL} --optimizer.name adamw",
    **{
        name: f"--diffusion.timestep-sampling stratified {change}"
        for name, change in CHANGES.items()
    },
}
# Column ► format in the printed table.
COLUMNS = {
    "images": "{:,.0f}",
    "processor_minutes": "{:.0f}",
    "structure": "{:.3f}",
    "detail": "{:.3f}",
    "label_nats": "{:.2f}",
    "share_as_asked": "{:.3f}",
    "kernel_distance": "{:.2f}",
    "frechet_distance": "{:.1f}",
    "recall": "{:.3f}",
    "coverage": "{:.3f}",
}
EVALUATION = shlex.split(
    "--images 2000 --network-images 2048 --guidance-strength 1 --guidance-interval 0 inf"
)


def main(
    table: Annotated[Path, tyro.conf.Positional],
    arms: tuple[str, ...] = tuple(ARMS),
    epochs: int = 4,
    runs: Path = Path("runs/ladder"),
):
    """Trains and measures the arms that the table lacks, and prints it.

    Args:
        table: CSV file, made if it is not there; of runs of one length.
        arms: names of arms, in the order in which they run.
        epochs: length of each run.
        runs: folder for the runs and their evaluations.
    """
    unknown = [arm for arm in arms if arm not in ARMS]
    if unknown:
        raise ValueError(f"`arms` must be of {', '.join(ARMS)}. Received: {', '.join(unknown)}")
    rows = _read(table)
    for arm in arms:
        if arm not in rows:
            name = f"{arm}_{epochs}_epochs".replace(" ", "_").replace(",", "")
            rows[arm] = _measure(arm, epochs, runs / name)
            _write(table, rows)
            print(_markdown({arm: rows[arm]}), flush=True)
    print(_markdown(rows))


def _measure(arm, epochs, run_dir):
    options = ["--resume", "--optimizer.epochs", str(epochs), *shlex.split(ARMS[arm])]
    train = ["train.py", "cifar10_small", "--run-dir", str(run_dir), *options]
    print(shlex.join(["python", *train]), flush=True)
    whole = not run_dir.exists()
    before = os.times()
    subprocess.run([sys.executable, *train], check=True)
    after = os.times()
    spent = after.children_user + after.children_system
    spent -= before.children_user + before.children_system
    network = run_dir / "export" / "denoiser.onnx"
    out = run_dir / "evaluation"
    subprocess.run(
        [
            sys.executable, "-m", "kdiffusion", "evaluate", network, "--out", out, "--overwrite",
            *EVALUATION,
        ],
        check=True,
    )  # fmt: skip
    figures = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))
    figures |= figures["network"]
    figures["images"] = load_denoiser(network).card.images_seen
    # What an earlier process spent on the run is not known.
    figures["processor_minutes"] = spent / 60 if whole else None
    return {column: figures[column] for column in COLUMNS}


def _read(table):
    """Name of an arm ► its figures, None where there is none."""
    if not table.exists():
        return {}
    with table.open(encoding="utf-8", newline="") as file:
        return {
            row["arm"]: {name: json.loads(row[name] or "null") for name in COLUMNS}
            for row in csv.DictReader(file)
        }


def _write(table, rows):
    with (
        staged(table, overwrite=True) as path,
        path.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.DictWriter(file, ["arm", *COLUMNS], lineterminator="\n")
        writer.writeheader()
        writer.writerows({"arm": arm, **figures} for arm, figures in rows.items())


def _markdown(rows):
    lines = [["arm", *(name.replace("_", " ") for name in COLUMNS)], ["---"] * (len(COLUMNS) + 1)]
    for arm, row in rows.items():
        cells = (
            "–" if row[name] is None else form.format(row[name]) for name, form in COLUMNS.items()
        )
        lines.append([arm, *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    tyro.cli(main)
