"""`python -m kdiffusion train [PRESET]`: trains a model, exports it, draws with the exported file.

In a checkout `python train.py` is the same.
"""

from __future__ import annotations

import importlib.metadata
import os
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from kdiffusion.data import look_up_dataset
from kdiffusion.object_store import spelled
from kdiffusion.runs import Interrupted
from kdiffusion.runs.remote_run import begun
from kdiffusion.runs.run_directory import holds_run
from kdiffusion.runs.summary import settings_lines
from kdiffusion.tensorflow_start import import_tensorflow
from kdiffusion.terminal import say, working

from .grids import draw_by_class
from .train_arguments import Command, parse

IMAGES_PER_LABEL = 8


def announce(command: Command) -> None:
    """Says what will be trained; refuses an unknown data set before TensorFlow's seconds."""
    config, folder = command.config, command.folder
    images, classes = look_up_dataset(config.data.name, config.data.directory)
    goes_on = command.resume and holds_run(begun(folder))
    say(f"{'Going on with' if goes_on else 'Training'} {config.preset}")
    say("\n".join(settings_lines(config, spelled(folder), images, classes)))


def run(arguments: Sequence[str], program: str = "train.py") -> None:
    """Trains, exports and draws, as the arguments say."""
    start = time.perf_counter()
    command = parse(arguments, program)
    announce(command)
    with working("loading TensorFlow", line=True):
        import_tensorflow()
        from kdiffusion.artifacts import load_denoiser
        from kdiffusion.export.formats import export_again
        from kdiffusion.export.trial import TrialExport
        from kdiffusion.images import image_grid, save_png
        from kdiffusion.runs import train

    # A parent's network is not known yet, and was exported once.
    is_tried = command.trial_export and command.config.model.network != "parent"
    try:
        with TrialExport(command.config) as trial:
            run = train(
                command.config, command.folder, resume=command.resume, overwrite=command.overwrite,
                callbacks=[trial] if is_tried else (),
            )  # fmt: skip
    except Interrupted as interruption:
        print(f"interrupted: {interruption}", file=sys.stderr)
        sys.exit(interruption.exit_status)
    if not run.is_chief:
        return
    run_dir = run.directory.path
    with working("exporting, and checking the exported files", line=True):
        artifacts = export_again(run_dir)
    say("Drawing with the ONNX file ...")
    denoiser = load_denoiser(artifacts["onnx"])
    names = denoiser.card.class_names[:10]
    images, _, _ = draw_by_class(denoiser, range(len(names)), IMAGES_PER_LABEL, seed=0)
    grid = run_dir / "samples.png"
    save_png(image_grid(images, IMAGES_PER_LABEL, row_labels=names), grid, overwrite=True)
    place, remote = run_dir, run.remote
    if remote is not None:
        with working(f"sending the run to {remote.url}", line=True):
            remote.send()
        remote.close()
        place = remote.url

    def at(path):
        return os.path.join(place, os.path.relpath(path, run_dir))

    python, label, onnx = _python(), shlex.quote(names[-1]), shlex.quote(at(artifacts["onnx"]))
    program = f"{_path_of_the_package()}{python} -m kdiffusion"
    lines = [
        "",
        f"Done in {(time.perf_counter() - start) / 60:.1f} minutes.",
        f"  checkpoints   {at(run.directory.checkpoints)}",
        f"  exported      {at(artifacts['onnx'])}",
        f"                {at(artifacts['saved_model'])}",
        f"  samples       {at(grid)}",
        "",
        "Next:",
        f"  {python} -m tensorboard.main --logdir {shlex.quote(at(run.directory.tensorboard))}",
        f"  {program} sample {onnx} --labels {label} --per-label 16 \
--guidance-strength 3 --out one_class.png",
        f"  {program} interpolate {onnx} --labels {label} --between-seeds 1 2 \
--out walk.png",
    ]
    # TensorBoard reads through TensorFlow, which opens no URL.
    print("\n".join(line for line in lines if remote is None or "tensorboard" not in line))


def _python():
    """This interpreter, as it is called from here: its environment may not be activated."""
    executable = Path(sys.executable)
    is_below = executable.is_relative_to(Path.cwd())
    return shlex.quote(str(executable.relative_to(Path.cwd()) if is_below else executable))


def _path_of_the_package():
    """What a command begins with where Python would not find the package: a checkout elsewhere."""
    checkout = Path(__file__).parents[2]
    try:
        importlib.metadata.version("kdiffusion")
    except importlib.metadata.PackageNotFoundError:
        return "" if checkout == Path.cwd() else f"PYTHONPATH={shlex.quote(str(checkout))} "
    return ""
