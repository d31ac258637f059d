"""The arguments of `train`: a preset, every field of `Config`, and what to do with the folder."""

from __future__ import annotations

import dataclasses
import difflib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from kdiffusion.runs import PRESET_DOCS, PRESETS, Config
from kdiffusion.runs.config import PARENT
from kdiffusion.runs.remote_run import begun
from kdiffusion.runs.run_directory import RunDirectory, holds_run


@dataclasses.dataclass(frozen=True)
class Command:
    """Train a class-conditional diffusion model, export it, and draw with the exported file."""

    config: Annotated[Config, tyro.conf.arg(name="")]
    run_dir: Path | None = None
    """Folder of the run, or its URL in an object store, such as s3://bucket/run. None:
    runs/PRESET."""
    resume: tyro.conf.FlagCreatePairsOff[bool] = False
    """Go on with the run in that folder, from its newest checkpoint and with its settings, but for
    those that are given; begin it if there is none. `--resume DIR` goes on with the one in DIR."""
    overwrite: tyro.conf.FlagCreatePairsOff[bool] = False
    """Replace the run in that folder."""
    trial_export: bool = True
    """Export the untrained network beside the first steps, so that one that can't be exported is
    not trained in vain."""

    @property
    def folder(self) -> Path:
        """Path of the run's folder; a URL that went through a Path is still known as one."""
        return self.run_dir or Path("runs", self.config.preset)


def parse(arguments: Sequence[str], program: str = "train.py") -> Command:
    """The `Command` of a command line; without a preset, that of the digits.

    Raises:
        ValueError: a run is to go on, and there is none, one of another preset, or two are named.
        SystemExit: of status 2: what can't be understood, which was said.
    """
    preset = arguments[0] if arguments and not arguments[0].startswith("-") else None
    _refuse_unknown(preset, arguments, program)
    arguments, resumed = _split_resume(arguments[1:] if preset else arguments)
    before = folder = None
    if resumed is not None:
        folder = Path(resumed or _value_of("--run-dir", arguments) or f"runs/{preset or 'digits'}")
        here = begun(folder)
        before = RunDirectory.read(here).config if holds_run(here) else None
        if before is None and resumed and preset is None:
            raise ValueError(
                f"{folder} holds no run to go on with. To begin one there, name its preset: "
                f"`{program} PRESET --resume {folder}`"
            )
        if before is not None and preset not in (None, before.preset):
            raise ValueError(
                f"{folder} holds a run of the preset {before.preset}, with whose settings it goes "
                f"on. Received: {preset}"
            )
    commands = {name: (PRESET_DOCS[name], Command(config)) for name, config in PRESETS.items()}
    if before is not None:
        preset = before.preset
        commands[preset] = (f"The run in {folder}.", Command(before))
    if preset or not (arguments and arguments[0] in ("-h", "--help")):
        arguments = [preset or "digits", *arguments]
    command = tyro.extras.overridable_config_cli(
        commands, prog=program, description=Command.__doc__, args=arguments
    )
    if before is not None and command.config.model.network == PARENT:
        # Named at last: what is given beside it must be as it is.
        model = dataclasses.replace(command.config.model, network=before.model.network)
        config = dataclasses.replace(command.config, model=model)
        command = dataclasses.replace(command, config=config)
    return command


def _split_resume(arguments):
    """`--resume DIR` as `--run-dir DIR --resume`, and DIR; "" without one, None without either."""
    for place, argument in enumerate(arguments):
        name, _, folder = argument.partition("=")
        if name != "--resume":
            continue
        rest = [*arguments[:place], *arguments[place + 1 :]]
        if not folder and place < len(rest) and not rest[place].startswith("-"):
            folder = rest.pop(place)
        other = _value_of("--run-dir", rest)
        if folder and other is not None and Path(other).resolve() != Path(folder).resolve():
            raise ValueError(
                "`--run-dir` and `--resume` must name one folder: give one of them alone. "
                f"Received: --run-dir {other}, --resume {folder}"
            )
        return [*rest, *(["--run-dir", folder] if folder else []), "--resume"], folder
    return arguments, None


def _value_of(option, arguments):
    """The value that comes last after an option, in either spelling; None without it."""
    value = None
    for place, argument in enumerate(arguments):
        name, has_value, given = argument.partition("=")
        if name.replace("_", "-") == option:
            value = given if has_value else next(iter(arguments[place + 1 :]), None)
    return value


def _refuse_unknown(preset, arguments, program):
    """Ends the process with one line for a preset or an option that there isn't."""
    if preset is not None and preset not in PRESETS:
        close = difflib.get_close_matches(preset, PRESETS, 1)
        meant = f" Did you mean `{close[0]}`?" if close else ""
        _end(f"there is no preset `{preset}`.{meant} There are: {', '.join(PRESETS)}")
    known = _options()
    for argument in arguments:
        name = argument.partition("=")[0].replace("_", "-")
        if name.startswith("--") and name not in known:
            close = _like(name, known)
            meant = f"Did you mean {' or '.join(f'`{each}`' for each in close)}? " if close else ""
            _end(f"there is no option `{name}`. {meant}All: {program} {preset or 'digits'} --help")


def _options():
    names = ["--help"]
    for field in dataclasses.fields(Command)[1:]:
        names += [f"--{field.name}", f"--no_{field.name}"]
    for section, value in vars(PRESETS["digits"]).items():
        if dataclasses.is_dataclass(value):
            for field in dataclasses.fields(value):
                names += [f"--{section}.{field.name}", f"--{section}.no_{field.name}"]
    return [name.replace("_", "-") for name in names]


def _like(name, known):
    """Options that may be meant: of that last word, of those initials, or spelt nearly so."""
    last = {option: option.lstrip("-").split(".")[-1] for option in known}
    wanted = name.lstrip("-").split(".")[-1]
    same = [option for option in known if last[option] == wanted]
    initials = [
        option for option in known if "".join(part[0] for part in last[option].split("-")) == wanted
    ]
    return same or initials or difflib.get_close_matches(name, known, 2, 0.75)


def _end(words):
    print(f"error: {words}", file=sys.stderr)
    sys.exit(2)
