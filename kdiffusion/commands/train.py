"""`python -m kdiffusion train [PRESET]`: trains a model, exports it, draws with the exported file.

In a checkout `python train.py` is the same.
"""

import dataclasses
import shlex
import sys
import time
from pathlib import Path
from typing import Annotated

import tyro

from kdiffusion.training import PRESET_DOCS, PRESETS, Config, Interrupted

from .grids import draw_by_class

IMAGES_PER_LABEL = 8


@dataclasses.dataclass(frozen=True)
class Command:
    """Train a class-conditional diffusion model, export it, and draw with the exported file."""

    config: Annotated[Config, tyro.conf.arg(name="")]
    run_dir: Path | None = None
    """Folder of the run. None: runs/PRESET."""
    resume: tyro.conf.FlagCreatePairsOff[bool] = False
    """Go on with the run in that folder, from its newest checkpoint; begin it if there is none."""
    overwrite: tyro.conf.FlagCreatePairsOff[bool] = False
    """Replace the run in that folder."""
    trial_export: bool = True
    """Export the untrained network beside the first steps, so that one that can't be exported is
    not trained in vain."""


def parse(arguments, program="train.py"):
    """The `Command` of a command line; without a preset, that of the digits."""
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help")):
        arguments = ["digits", *arguments]
    commands = {name: (PRESET_DOCS[name], Command(preset)) for name, preset in PRESETS.items()}
    return tyro.extras.overridable_config_cli(
        commands, prog=program, description=Command.__doc__, args=arguments
    )


def run(arguments, program="train.py"):
    """Trains, exports and draws, as the arguments say."""
    start = time.perf_counter()
    command = parse(arguments, program)
    run_dir = command.run_dir or Path("runs", command.config.preset)
    # TensorFlow loads here, when the arguments are known to be good.
    from kdiffusion.artifacts import load_denoiser
    from kdiffusion.export import export_run
    from kdiffusion.export.trial import TrialExport
    from kdiffusion.images import image_grid, save_png
    from kdiffusion.training import train

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
    print("Exporting and checking the exported files ...", flush=True)
    artefacts = export_run(run_dir, overwrite=True)
    print("Sampling from the ONNX file ...", flush=True)
    denoiser = load_denoiser(artefacts["onnx"])
    names = denoiser.card.class_names[:10]
    images, _, _ = draw_by_class(denoiser, range(len(names)), IMAGES_PER_LABEL, seed=0)
    picture = run_dir / "samples.png"
    save_png(image_grid(images, IMAGES_PER_LABEL, row_labels=names), picture, overwrite=True)
    python, label = _python(), shlex.quote(names[-1])
    logs, onnx = (shlex.quote(str(p)) for p in (run_dir / "tensorboard", artefacts["onnx"]))
    print(
        f"""
Done in {(time.perf_counter() - start) / 60:.1f} minutes.
  checkpoints   {run_dir / "checkpoints"}
  exported      {artefacts["onnx"]}
                {artefacts["saved_model"]}
  samples       {picture}

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
