"""The folder of a run: config.json, checkpoints/, tensorboard/, samples/, export/."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock
from pydantic.dataclasses import dataclass

from kdiffusion.atomic_files import PARTIAL, staged, sync
from kdiffusion.diffusion.card import ConditionImage, DataSplit, DenoiserCard, Number
from kdiffusion.runs.checkpoints import all_checkpoints
from kdiffusion.runs.config import Config
from kdiffusion.training.settings import STRICT

if TYPE_CHECKING:
    from kdiffusion.training.diffusion_model import DiffusionModel

GRID = "samples.png"  # what `train.py` samples at the end
LOG = "tensorboard"
CONFIG = "config.json"
CONTENTS = ("checkpoints", LOG, "samples", "export", GRID, CONFIG)
# What makes another run of it: "section" or "section.field". The rest may change when it resumes.
KEPT = (
    "model", "diffusion", "objective", "optimizer.name", "optimizer.batch_size", "run.seed",
    "run.init_from", "data.numbers", "data.condition", "data.condition_noise",
)  # fmt: skip
DATA = ("image_shape", "class_names", "data_sha256", "mirrored")


@dataclass(frozen=True, config=STRICT)
class RunDirectory:
    """Where a run keeps what it makes, and what it must know to be resumed or exported.

    Pydantic makes the fields of what JSON holds.

    Args:
        path: Path. The folder.
        config: `Config`. The resolved settings.
        image_shape: (height, width, channels) of the data set.
        class_names: names of its classes, in label order.
        num_images: int. How many images it is trained on.
        data_sha256: str, `ImageDataset.content_hash` of the data set as it is split.
        mirrored: bool. Whether half of the images are mirrored.
        parent: dict of `name` and `sha256`, what the run's first weights are of; None where they
            are random.
        split: dict, `ImageDataset.split`; None where the settings say how the images were split.
        numbers: tuple of `Number` that it is conditioned on, or None.
        image: `ConditionImage` that it is conditioned on, or None.
        commit: str. Of the checkout in which the run began; None where that isn't known.
    """

    path: Path
    config: Config
    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    num_images: int
    data_sha256: str | None = None
    mirrored: bool | None = None
    parent: dict | None = None
    split: dict | None = None
    commit: str | None = None
    numbers: tuple[Number, ...] | None = None
    image: ConditionImage | None = None

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def network_conditions(self) -> dict[str, Any]:
        """The arguments of a network that is conditioned on more than a label."""
        arguments: dict[str, Any] = {}
        if self.numbers is not None:
            arguments["numbers"] = {each.name: (each.mean, each.std) for each in self.numbers}
        if self.image is not None:
            arguments["image_channels"] = self.image.channels
        return arguments

    def card(self, model: DiffusionModel) -> DenoiserCard:
        """The card of the run's model: what its exported file will say of itself."""
        config, recommended = self.config, dataclasses.asdict(self.config.sampling)
        by_settings = {
            "seed": config.run.seed, "validation_fraction": config.data.validation_fraction
        }  # fmt: skip
        if not model.objective.learns_null_label:  # the model's own card recommends none
            del recommended["guidance_strength"], recommended["guidance_interval"]
        return model.card(
            class_names=self.class_names,
            dataset=config.data.name,
            preset=config.preset,
            images_seen=int(model.step.numpy()) * config.optimizer.batch_size,
            data_split=DataSplit(**(self.split or by_settings), sha256=self.data_sha256),
            parent=self.parent,
            numbers=self.numbers,
            image=self.image,
            **recommended,
        )

    def write(self) -> None:
        """Makes the folders and writes config.json, whole or not at all."""
        for folder in (self.checkpoints, self.path / LOG):
            folder.mkdir(parents=True, exist_ok=True)
        content = {**dataclasses.asdict(self), "config": json.loads(self.config.to_json())}
        del content["path"]
        with staged(self.path / CONFIG, overwrite=True) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
            sync(temporary)

    @classmethod
    def read(cls, path: str | os.PathLike) -> RunDirectory:
        """The run in a folder.

        Raises:
            FileNotFoundError: the folder holds no run.
            ValueError: its config.json is not that of a run.
        """
        file = Path(path) / CONFIG
        try:
            return cls(path=Path(path), **json.loads(file.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{file} is not the configuration of a run: {error}") from error


def commit_of_checkout() -> str | None:
    """The commit of the checkout that this code lies in, with "-dirty" if it was changed."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", root, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.check_output(command, text=True, stderr=subprocess.DEVNULL).strip()
    except (OSError, subprocess.CalledProcessError):  # no git, or a checkout that it can't read
        return None


def holds_run(path: str | os.PathLike) -> bool:
    """Whether a run was begun in a folder."""
    return (Path(path) / CONFIG).is_file()


def lock(path: str | os.PathLike) -> FileLock:
    """Keeps other processes from training in a folder, which is made if need be.

    Within it, there is a TimeoutError if another process trains, or exports what it has trained.
    """
    Path(path).mkdir(parents=True, exist_ok=True)
    return FileLock(Path(path) / "run.lock", timeout=0)


def find(path: str | os.PathLike, resume: bool, overwrite: bool) -> RunDirectory | None:
    """The run in a folder that is to be resumed; None where a new one may begin.

    Args:
        path: path of the folder.
        resume: bool. Whether to resume a run that is there.
        overwrite: bool. Whether a run that is there may be replaced.

    Raises:
        FileExistsError: the folder holds a run that is neither to be resumed nor replaced; or what
            a run has made, without its checkpoints; or other files under the names of its parts.
        ValueError: its config.json is not that of a run.
    """
    path = Path(path)
    if resume and all_checkpoints(path / "checkpoints"):
        return RunDirectory.read(path)
    if overwrite and holds_run(path):
        RunDirectory.read(path)  # our mark: a folder without it is never replaced
        return None
    made = [part.name for part in (path / name for name in CONTENTS) if _holds_something(part)]
    early = {CONFIG, LOG} if resume and (path / "checkpoints").is_dir() else set()
    if {*made} - early:  # more than a run has that was killed before its first checkpoint
        raise FileExistsError(
            f"`--run-dir` already holds {', '.join(made)}. Continue a run that has checkpoints "
            f"with --resume, replace one with --overwrite, or choose another. Received: {path}"
        )
    return None


def _holds_something(part):
    return part.is_file() or (part.is_dir() and any(part.iterdir()))


def clear(path: str | os.PathLike) -> None:
    """Removes the run in a folder, if there is one, and nothing else.

    Its parts are first renamed, which fails or is done at once; links are not followed.
    """
    path = Path(path)
    parts = [name for name in CONTENTS if os.path.lexists(path / name)]
    with tempfile.TemporaryDirectory(PARTIAL, ".replaced.", path) as aside:
        try:
            for name in parts:
                os.rename(path / name, Path(aside, name))
        except OSError:  # as of a part that is mounted
            for moved in Path(aside).iterdir():
                os.rename(moved, path / moved.name)
            raise


def flat_settings(config: Config) -> dict[str, Any]:
    """{"section.field": value} of a `Config`, the values as in JSON."""
    content = json.loads(config.to_json())
    return {
        f"{section}.{name}": value
        for section, fields in content.items()
        if isinstance(fields, dict)
        for name, value in fields.items()
    }


def _kept(directory):
    """What a run must keep when it resumes, by name."""
    settings = flat_settings(directory.config).items()
    kept = {name: value for name, value in settings if {name, name.split(".")[0]} & set(KEPT)}
    return kept | {name: getattr(directory, name) for name in DATA}


def check_resumable(before: RunDirectory, now: RunDirectory) -> None:
    """Raises an error if a run would resume with other data, or another network or objective.

    Args:
        before: `RunDirectory` of the run.
        now: `RunDirectory` that it would become.

    Raises:
        ValueError: names each setting, and each fact about the data, that differs.
    """
    was, is_now = _kept(before), _kept(now)
    differing = [
        f"{name} was {was[name]!r}, is {is_now.get(name)!r}"
        for name in was
        if was[name] != is_now.get(name)
    ]
    if differing:
        raise ValueError(
            "A resumed run must keep its data, network, objective, batch size and seed. Received: "
            f"{'; '.join(differing)} (data set: {now.config.data.name}, "
            f"{now.config.data.directory or 'in its usual place'})"
        )
