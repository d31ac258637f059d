"""`python -m kdiffusion train [PRESET]`: trains a model, exports it, draws with the exported file.

In a checkout `python train.py` is the same.
"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from kdiffusion.data import look_up_dataset
from kdiffusion.runs import Interrupted
from kdiffusion.runs.cluster import has_several_workers
from kdiffusion.runs.run_directory import RunDirectory, check_free, check_resumable, holds_run
from kdiffusion.runs.summary import settings_lines
from kdiffusion.tensorflow_start import import_tensorflow
from kdiffusion.terminal import say, working

from .grids import draw_by_class
from .train_arguments import Command, parse

IMAGES_PER_LABEL = 8


def announce(command: Command) -> None:
    """Says what will be trained; refuses, before TensorFlow's seconds, what can be known by then.

    Raises:
        ValueError, OSError: as `kdiffusion.runs.train`.
    """
    config, folder = command.config, command.folder
    if command.resume and command.overwrite:
        raise ValueError("Only one of `--resume` and `--overwrite` may be given. Received: both")
    goes_on = command.resume and holds_run(folder)
    if goes_on:
        check_resumable(RunDirectory.read(folder).config, config)
    elif not has_several_workers(config.run.strategy):  # of several, one may have begun it by now
        check_free(folder, command.overwrite)
    images, classes = look_up_dataset(config.data.name, config.data.directory)
    say(f"{'Going on with' if goes_on else 'Training'} {config.preset}")
    say("\n".join(settings_lines(config, folder, images, classes)))


def run(arguments: Sequence[str], program: str = "train.py") -> None:
    """Trains, exports and draws, as the arguments say."""
    start = time.perf_counter()
    command = parse(arguments, program)
    announce(command)
    with working("loading TensorFlow", line=True):
        import_tensorflow()
        from kdiffusion.artifacts import load_denoiser
        from kdiffusion.export import export_run
        from kdiffusion.export.trial import TrialExport
        from kdiffusion.images import image_grid, save_png
        from kdiffusion.runs import train

    run_dir = command.folder
    try:
        with TrialExport(command.config) as trial:
            run = train(
                command.config, run_dir, resume=command.resume, overwrite=command.overwrite,
                callbacks=[trial] if command.trial_export else (),
            )  # fmt: skip
    except Interrupted as interruption:
        print(f"interrupted: {interruption}", file=sys.stderr)
        sys.exit(interruption.exit_status)
    if not run.is_chief:
        return
    with working("exporting, and checking the exported files", line=True):
        artifacts = export_run(run_dir, overwrite=True)
    say("Drawing with the ONNX file ...")
    denoiser = load_denoiser(artifacts["onnx"])
    names = denoiser.card.class_names[:10]
    images, _, _ = draw_by_class(denoiser, range(len(names)), IMAGES_PER_LABEL, seed=0)
    grid = run_dir / "samples.png"
    save_png(image_grid(images, IMAGES_PER_LABEL, row_labels=names), grid, overwrite=True)
    python, label = _python(), shlex.quote(names[-1])
    logs, onnx = (shlex.quote(str(p)) for p in (run_dir / "tensorboard", artifacts["onnx"]))
    print(
        f"""
Done in {(time.perf_counter() - start) / 60:.1f} minutes.
  checkpoints   {run_dir / "checkpoints"}
  exported      {artifacts["onnx"]}
                {artifacts["saved_model"]}
  samples       {grid}

Next:
  {python} -m tensorboard.main --logdir {logs}
  {python} -m kdiffusion sample {onnx} --labels {label} --per-label 16 \
--guidance-strength 3 --out one_class.png
  {python} -m kdiffusion interpolate {onnx} --labels {label} --between-seeds 1 2 --out walk.png"""
    )


def _python():
    """This interpreter, as it is called from here: its environment may not be activated."""
    executable = Path(sys.executable)
    is_below = executable.is_relative_to(Path.cwd())
    return shlex.quote(str(executable.relative_to(Path.cwd()) if is_below else executable))
