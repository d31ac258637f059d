"""`python -m kdiffusion train [PRESET]`: train a model, export it, sample with the exported file.

In a checkout `python train.py` is the same.
"""

from __future__ import annotations

import inspect
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Annotated

import tyro
from pydantic import Field
from pydantic.dataclasses import dataclass

from kdiffusion.commands import CALLBACKS
from kdiffusion.runs import run_directory
from kdiffusion.runs.checkpoints import newest_first, val_loss_of
from kdiffusion.runs.config import Config
from kdiffusion.runs.interruptions import Interrupted
from kdiffusion.runs.presets import PRESET_DOCS, PRESETS
from kdiffusion.runs.summary import settings_lines
from kdiffusion.tables import check_name
from kdiffusion.terminal import import_tensorflow, say, working

if TYPE_CHECKING:
    from kdiffusion.runs.build import Run
    from kdiffusion.runs.run_directory import RunDirectory


STEPS = "--sampling.steps"


@dataclass(frozen=True)
class Command:
    """Train a class-conditional diffusion model, export it, and sample with it."""

    config: Annotated[Config, tyro.conf.arg(name="")]
    run_dir: Annotated[str, Field(min_length=1)] | None = None
    """Folder; None: runs/PRESET."""
    resume: tyro.conf.FlagCreatePairsOff[bool] = False
    """Resume the run in that folder, or start it."""
    overwrite: tyro.conf.FlagCreatePairsOff[bool] = False
    """Replace the run in that folder."""

    @property
    def folder(self) -> str:
        """Path of the run's folder."""
        return self.run_dir or f"runs/{self.config.preset}"


def parse(arguments: Sequence[str], program: str = "train.py") -> Command:
    """The `Command` of a command line; without a preset, of the preset digits.

    Raises:
        ValueError: an unknown preset; a run of another preset to resume.
        SystemExit: with status 0 after the help, 2 where tyro has said what it can't read.
    """
    named = [argument for argument in arguments[:1] if not argument.startswith("-")]
    if not named and {"-h", "--help"} & {*arguments}:
        print(help_of_presets(program))
        sys.exit(0)
    preset = check_name("preset", named[0], PRESETS) if named else "digits"

    def parsed(config):
        command = tyro.cli(
            Command, args=arguments[len(named) :], default=Command(config), compact_help=True,
            prog=f"{program} {preset}", description=PRESET_DOCS[preset],
        )  # fmt: skip
        timesteps = command.config.sampling.timesteps
        if timesteps is not None and any(each.startswith(STEPS) for each in arguments):
            raise ValueError(
                f"{STEPS} has no effect beside the timesteps {timesteps}. Replace those with "
                "--sampling.timesteps"
            )
        return command

    command = parsed(PRESETS[preset])
    if not (command.resume and run_directory.holds_run(command.folder)):
        return command
    before = run_directory.RunDirectory.read(command.folder).config
    if named and before.preset != preset:
        raise ValueError(
            f"{command.folder} holds a run of the preset {before.preset}. Received: {preset}"
        )
    return parsed(before)


def help_of_presets(program: str) -> str:
    """The help of `train` without a preset."""
    width = max(map(len, PRESETS))
    rows = (f"  {name:{width}}  {doc.splitlines()[0]}" for name, doc in PRESET_DOCS.items())
    usage = f"usage: {program} [PRESET] [OPTION ...]\n\n{inspect.getdoc(Command)}"
    ending = f"`{program} PRESET --help` lists options, --help-verbose explains them."
    return "\n".join([usage, "", "presets (digits is the default):", *rows, "", ending])


IMAGES_PER_LABEL = 8
FEW_IMAGES = 1000  # in training: a network may learn them by heart
CLEARLY_LOWER = 0.99  # of the last validation loss


def run(arguments: Sequence[str], program: str = "train.py") -> None:
    """Trains, exports and samples, as the arguments say."""
    start = time.perf_counter()
    command = parse(arguments, program)
    config, folder = command.config, command.folder
    run_directory.find(folder, command.resume, command.overwrite)  # refuses at once
    say("\n".join([f"Training {config.preset}", *settings_lines(config, folder)]))
    with working("loading TensorFlow", line=True):
        import_tensorflow()
        from kdiffusion.runs.run import train
    try:
        run = train(
            config, folder, command.resume, command.overwrite, at_end=finish,
            make_callbacks=[resolve_name(f"kdiffusion.{where}") for where in CALLBACKS.values()],
        )  # fmt: skip
    except Interrupted as interruption:
        print(f"interrupted: {interruption}", file=sys.stderr)
        sys.exit(interruption.exit_status)
    if run.is_chief:
        say(f"\nDone in {(time.perf_counter() - start) / 60:.1f} minutes.")
        say("\n".join(closing_lines(run.directory)))


def finish(run: Run) -> None:
    """Exports a run, and writes its samples.png with the exported file.

    A run that was whole before, with its samples, stays as it was exported.
    """
    from kdiffusion.artifacts import load_denoiser
    from kdiffusion.diffusion.sampling import sample_by_class
    from kdiffusion.export.formats import export_run
    from kdiffusion.images import image_grid, save_png, to_uint8

    folder = run.directory.path
    grid_file = folder / run_directory.GRID
    if run.first_step == run.model.step.numpy() and grid_file.exists():
        return
    grid_file.unlink(missing_ok=True)  # whoever resumes from here on exports
    with working("exporting, and checking the exported files", line=True):
        onnx = export_run(folder, overwrite=True)["onnx"]
    if run.card.condition_shapes:  # the data set has what it samples by
        shutil.copyfile(max(folder.glob("samples/*.png")), grid_file)
        return
    say("Sampling with the ONNX file ...")
    images, names = sample_by_class(load_denoiser(onnx), IMAGES_PER_LABEL)
    grid = image_grid(to_uint8(images), IMAGES_PER_LABEL, row_labels=names)
    save_png(grid, grid_file, overwrite=True)


def closing_lines(directory: RunDirectory) -> list[str]:
    """What a finished run has made in its folder, and commands to try next."""
    place, command = directory.path, f"{shlex.quote(sys.executable)} -m"
    onnx = shlex.quote(f"{place}/export/denoiser.onnx")
    lines = [
        f"  checkpoints   {place}/checkpoints",
        f"  exported      {place}/export/denoiser.onnx",
        f"                {place}/export/saved_model",
        f"  samples       {place}/samples.png",
        "",
        "Next:",
        f"  {command} tensorboard.main --logdir {shlex.quote(f'{place}/tensorboard')}",
        f"  {command} kdiffusion sample {onnx} --per-label 16",
    ]
    last, *_ = newest_first(directory.checkpoints)
    for best in newest_first(directory.checkpoints / "best"):
        if val_loss_of(best) < CLEARLY_LOWER * val_loss_of(last):
            lines += [
                f"  {command} kdiffusion export {shlex.quote(str(place))} --best --overwrite",
                f"The validation loss was lowest at {best.name}, which that exports.",
            ]
    if directory.num_images < FEW_IMAGES:
        data = directory.config.data
        data = shlex.quote(str(data.directory or data.name))
        lines += [
            f"  {command} kdiffusion evaluate {onnx} --data {data} --measures copies",
            "That counts samples which copy a training image: there are few of them.",
        ]
    return lines
