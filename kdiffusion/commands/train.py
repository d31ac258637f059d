"""`python -m kdiffusion train [PRESET]`: train a model, export it, sample with the exported file.

In a checkout `python train.py` is the same.
"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kdiffusion.object_store import spelled
from kdiffusion.runs import Interrupted
from kdiffusion.runs.remote_run import local_folder
from kdiffusion.runs.run_directory import holds_run
from kdiffusion.runs.summary import settings_lines
from kdiffusion.tensorflow_start import import_tensorflow
from kdiffusion.terminal import say, working

from .outputs import draw_by_class
from .train_arguments import Command, parse

if TYPE_CHECKING:
    from kdiffusion.runs import Run

IMAGES_PER_LABEL = 8


def run(arguments: Sequence[str], program: str = "train.py") -> None:
    """Trains, exports and samples, as the arguments say."""
    start = time.perf_counter()
    command = parse(arguments, program)
    announce(command)
    with working("loading TensorFlow", line=True):
        import_tensorflow()
        from kdiffusion.runs import train
    try:
        run = train(
            command.config, command.folder, resume=command.resume, overwrite=command.overwrite
        )
    except Interrupted as interruption:
        print(f"interrupted: {interruption}", file=sys.stderr)
        sys.exit(interruption.exit_status)
    if run.is_chief:
        place = finish(run)
        say(f"\nDone in {(time.perf_counter() - start) / 60:.1f} minutes.")
        say("\n".join(closing_lines(place, run.card.class_names[-1], program)))


def announce(command: Command) -> None:
    """Says what will be trained."""
    config, folder = command.config, command.folder
    goes_on = command.resume and holds_run(local_folder(folder))
    say(f"{'Going on with' if goes_on else 'Training'} {config.preset}")
    say("\n".join(settings_lines(config, spelled(folder))))


def finish(run: Run) -> str:
    """Exports a run, writes its samples.png with the exported file, and returns where it lies."""
    from kdiffusion.artifacts import load_denoiser
    from kdiffusion.export.formats import export_again
    from kdiffusion.images import image_grid, save_png

    folder = run.directory.path
    with working("exporting, and checking the exported files", line=True):
        onnx = export_again(folder)["onnx"]
    say("Sampling with the ONNX file ...")
    denoiser = load_denoiser(onnx)
    names = denoiser.card.class_names[:10]
    images, _, _ = draw_by_class(denoiser, range(len(names)), IMAGES_PER_LABEL, seed=0)
    grid = image_grid(images, IMAGES_PER_LABEL, row_labels=names)
    save_png(grid, folder / "samples.png", overwrite=True)
    if run.remote is None:
        return str(folder)
    with working(f"copying the run to {run.remote.url}", line=True):
        run.remote.send()
    return run.remote.url


def closing_lines(place: str, label: str, program: str) -> list[str]:
    """What a finished run has made, and commands to go on with.

    Args:
        place: str. Path or URL of the run's folder.
        label: str. One of its classes.
        program: str. How this command was called.
    """
    python, label = shlex.quote(sys.executable), shlex.quote(label)
    command = "kdiffusion" if program == "kdiffusion train" else f"{python} -m kdiffusion"
    onnx = shlex.quote(f"{place}/export/denoiser.onnx")
    return [
        f"  checkpoints   {place}/checkpoints",
        f"  exported      {place}/export/denoiser.onnx",
        f"                {place}/export/saved_model",
        f"  samples       {place}/samples.png",
        "",
        "Next:",
        f"  {python} -m tensorboard.main --logdir {shlex.quote(f'{place}/tensorboard')}",
        f"  {command} sample {onnx} --labels {label} --per-label 16 --out one_class.png",
        f"  {command} interpolate {onnx} --labels {label} --between-seeds 1 2 --out walk.png",
    ]
