"""What each part of the recipe gives: whole short runs, one after another, measured alike.

    python -m benchmarks.ladder my_ladder.csv --arms recipe AdamW

An arm is the preset `cifar10_small` with some settings changed. Each adds a row to the table, which
is printed in Markdown at the end; rows that the table has are not run again. An arm takes half an
hour on two cores where the processor multiplies bfloat16. Validation losses of arms don't compare,
since arms weigh noise levels differently; errors of the network and samples do.
"""

import csv
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import tyro

from kdiffusion import load_denoiser

# The noise levels of the first arms, and of the first half of `cifar10`'s training.
LOG_NORMAL = "--objective.timestep-sampling log_normal --objective.loss-weighting edm"
# Each is one change to the recipe as it was when most of them ran: every timestep as often.
CHANGES = {
    "stratified timesteps": "",
    "stratified timesteps, another seed": "--run.seed 1",
    "AdamW": "--optimizer.name adamw",
    "AdamW at 1e-3": "--optimizer.name adamw --optimizer.learning-rate 1e-3",
    "Muon at 1e-3": "--optimizer.learning-rate 1e-3",
    "Muon at 4e-3": "--optimizer.learning-rate 4e-3",
    "batch of 64": "--optimizer.batch-size 64",
    "every timestep alike": "--objective.loss-weighting simple",
    "condition added": "--model.no-scale-shift",
    "attention at 8x8 and 4x4": "--model.attention-resolutions 8 4",
    "wider": "--model.base-channels 96 --model.channel-multipliers 1 2 2",
}
# Name ► options of `train.py cifar10_small`.
ARMS = {
    "recipe": "",
    "recipe, another seed": "--run.seed 1",
    "log-normal noise levels": LOG_NORMAL,
    "log-normal noise levels, another seed": f"{LOG_NORMAL} --run.seed 1",
    "log-normal noise levels, AdamW": f"{LOG_NORMAL} --optimizer.name adamw",
    **{
        name: f"--objective.timestep-sampling stratified {change}"
        for name, change in CHANGES.items()
    },
}
COLUMNS = (
    "images", "structure", "detail", "label_nats", "share_as_asked", "kernel_distance",
    "frechet_distance", "recall", "coverage",
)  # fmt: skip
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
    rows = []
    if table.exists():
        with table.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    for arm in arms:
        if all(row["arm"] != arm for row in rows):
            name = f"{arm}_{epochs}_epochs".replace(" ", "_").replace(",", "")
            rows.append({"arm": arm} | _measure(ARMS[arm], epochs, runs / name))
            with table.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, ["arm", *COLUMNS], extrasaction="ignore")
                writer.writeheader()
                writer.writerows(rows)
    print(f"| arm | {' | '.join(COLUMNS)} |".replace("_", " "))
    print("|---" * (1 + len(COLUMNS)) + "|")
    for row in rows:
        cells = (f"{float(row[name]):.4g}" for name in COLUMNS[1:])
        print(f"| {row['arm']} | {int(row['images']):,} | {' | '.join(cells)} |")


def _measure(options, epochs, run_dir):
    """Trains a run, or resumes it, and evaluates its export: {column: figure}."""
    train = ["train.py", "cifar10_small", "--run-dir", str(run_dir), "--resume"]
    train += ["--optimizer.epochs", str(epochs), *shlex.split(options)]
    print(shlex.join(["python", *train]), flush=True)
    subprocess.run([sys.executable, *train], check=True)
    network, out = run_dir / "export" / "denoiser.onnx", run_dir / "evaluation"
    evaluate = ["-m", "kdiffusion", "evaluate", network, "--out", out, "--overwrite", *EVALUATION]
    subprocess.run([sys.executable, *evaluate], check=True)
    figures = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))
    figures |= figures["network"] | {"images": load_denoiser(network).card.images_seen}
    return {column: figures[column] for column in COLUMNS}


if __name__ == "__main__":
    tyro.cli(main)
