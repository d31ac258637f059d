"""The folder of a run: config.json, checkpoints/, tensorboard/, samples/, export/."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from kdiffusion.files import refuse_existing
from kdiffusion.runs.config import PARENT, Config
from kdiffusion.runs.history import changed_settings
from kdiffusion.runs.sealed import read_sealed, write_sealed

# What may differ when a run is resumed, as "section" or "section.field": where it ends, how fast it
# goes there, in how much memory, how it is watched and sampled. The rest would make it another run.
RESUMABLE = (
    "run",
    "sampling",
    "evaluation",
    "optimizer.epochs",
    "optimizer.learning_rate",
    "optimizer.learning_rate_shape",
    "optimizer.warmup_steps",
    "optimizer.cooldown_fraction",
    "optimizer.final_learning_rate_fraction",
    "optimizer.gradient_accumulation",
    "optimizer.rematerialise",
    "data.directory",
)

# The parts of a run's folder, and the files that each may hold when it is removed: what a run, its
# exports and their killed writers leave.
_EXPORTED = (
    r"denoiser(_float16|_int8)?\.onnx|denoiser(_float16)?\.safetensors|sampler\.onnx|denoiser\.tflite|openvino/denoiser\.(xml|bin)"
    r"|(sampler_)?saved_model/(\w+\.pb|variables/variables\.[\w-]+|assets\.extra/\w+\.(json|txt))"
    r"|diffusers/((model_index|kdiffusion_card)\.json|scheduler/scheduler_config\.json"
    r"|unet/(config\.json|diffusion_pytorch_model\.safetensors))"
)
PARTS = {
    "checkpoints": r"(\w+/)?step_\d+(/(record\.json|state\.[\w-]+)|\.partial/.*)",
    "tensorboard": r"((train|validation)/)?events\.out\.tfevents\.[^/]+",
    "samples": r"epoch_\d+\.png|\.epoch_\d+\.png\.\w+",
    "export": rf"{_EXPORTED}|\.(denoiser|sampler|saved_model|openvino|diffusers)[^/]*\.\w{{8}}/.*",
}
GRID = "samples.png"  # what `train.py` draws at the end
# By folder: locks that trainings of this process have left held, as long as somebody has them.
_LEFT_HELD: weakref.WeakValueDictionary[Path, FileLock] = weakref.WeakValueDictionary()


@dataclass(frozen=True)
class RunDirectory:
    """Where a run keeps what it makes, and what it must know to be resumed or exported.

    Args:
        path: Path. The folder.
        config: `Config`. The resolved settings.
        image_shape: (height, width, channels) of the data set.
        class_names: names of its classes, in label order.
        num_images: int. How many images it is trained on.
        data_sha256: str, `ImageDataset.content_hash` of the data set as it is split. None in the
            folder of a run that was begun before it was written.
        mirrored: bool. Whether half of the images are mirrored: `data.horizontal_flip`, or what the
            data set says. None as for `data_sha256`.
        parent: dict of `name` and `sha256`, what the run's first weights are of; None where they
            are random.
        history: tuple of entries of `kdiffusion.runs.history`: which settings and versions hold
            from which step on.
    """

    path: Path
    config: Config
    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    num_images: int
    data_sha256: str | None = None
    mirrored: bool | None = None
    history: tuple[dict, ...] = ()
    parent: dict | None = None

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    @property
    def samples(self) -> Path:
        return self.path / "samples"

    @property
    def export(self) -> Path:
        return self.path / "export"

    def write(self) -> None:
        """Makes the folders and writes config.json, whole or not at all."""
        for folder in (self.checkpoints, self.tensorboard, self.samples):
            folder.mkdir(parents=True, exist_ok=True)
        content = {
            "image_shape": self.image_shape,
            "class_names": self.class_names,
            "num_images": self.num_images,
            "data_sha256": self.data_sha256,
            "mirrored": self.mirrored,
            "config": json.loads(self.config.to_json()),
            "history": self.history,
            "parent": self.parent,
        }
        write_sealed(self.path / "config.json", content)

    @classmethod
    def read(cls, path: str | os.PathLike) -> RunDirectory:
        """The run in a folder.

        Raises:
            FileNotFoundError: the folder holds no run.
            ValueError: its config.json can't be read by this version.
        """
        file = Path(path) / "config.json"
        if not file.is_file():
            raise FileNotFoundError(
                f"`run_dir` must be the folder of a training run, with a config.json. "
                f"Received: run_dir={path}"
            )
        try:
            content: Any = read_sealed(file)
            height, width, channels = map(int, content["image_shape"])
            # Its log was begun before there was a choice.
            content["config"]["run"].setdefault("x_axis", "epochs")
            return cls(
                path=Path(path),
                config=Config.from_json(json.dumps(content["config"])),
                image_shape=(height, width, channels),
                class_names=tuple(str(name) for name in content["class_names"]),
                num_images=int(content["num_images"]),
                data_sha256=content.get("data_sha256"),
                mirrored=content.get("mirrored"),
                history=tuple(content.get("history", ())),
                parent=content.get("parent"),
            )
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"{file} is not a valid run configuration: {error}") from error


@contextlib.contextmanager
def locked(path: Path) -> Iterator[FileLock]:
    """Keeps other processes from training in a folder.

    Yields:
        FileLock: held as long as somebody has it, after the block too, unless that raises. This
        process may take it again when the block is done.

    Raises:
        BlockingIOError: another training is at work there.
    """
    path.mkdir(parents=True, exist_ok=True)
    left_held = _LEFT_HELD.pop(path.resolve(), None)
    if left_held is not None:
        left_held.release()
    lock = FileLock(path / "run.lock", thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise BlockingIOError(
            f"Another process trains in {path}: it holds {lock.lock_file}"
        ) from error
    try:
        yield lock
    except BaseException:
        lock.release()  # the error's traceback still has it
        raise
    _LEFT_HELD[path.resolve()] = lock


def holds_run(path: str | os.PathLike) -> bool:
    """Whether a run was begun in a folder."""
    return os.path.lexists(Path(path) / "config.json")


def check_free(path: str | os.PathLike, overwrite: bool = False) -> None:
    """Refuses to begin a run where there is one, or what may be somebody's work.

    Raises:
        FileExistsError: the folder holds a run, and `overwrite` is False; or a config.json that no
            run wrote; or no config.json, and something under the name of a part.
    """
    path = Path(path)
    if os.path.lexists(path) and not path.is_dir():
        raise FileExistsError(f"{path} is not a folder. Choose another --run-dir.")
    if holds_run(path):
        if not overwrite:
            raise FileExistsError(
                f"{path} holds a run already. Go on with it by --resume, replace it by "
                "--overwrite, or choose another --run-dir."
            )
        refuse_existing(path / "config.json", overwrite=True)
        if not _is_ours(path / "config.json"):
            raise FileExistsError(
                f"{path / 'config.json'} is not that of a run, so nothing beside it is removed. "
                "Choose another --run-dir, or remove it yourself."
            )
        return
    if any(path.glob("checkpoints/**/step_*")):
        raise FileExistsError(
            f"{path} holds checkpoints without the config.json that tells what they are of. "
            "Choose another --run-dir, or remove them yourself."
        )
    for name in (*PARTS, GRID):
        part = path / name
        is_empty = part.is_dir() and not part.is_symlink() and not any(part.iterdir())
        if os.path.lexists(part) and not is_empty:
            raise FileExistsError(
                f"{part} is there, and {path} holds no run whose part it is. Choose another "
                "--run-dir, or move it away."
            )


def _is_ours(file):
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and {"format_version", "config"} <= content.keys()


def clear(path: str | os.PathLike) -> None:
    """Removes a run, if there is one, and nothing else from its folder.

    Raises:
        OSError: a part of it could not be removed, such as a symbolic link.
    """
    path = Path(path)
    if holds_run(path):
        check_free(path, overwrite=True)  # again: time has passed, and others may have written
        for name in PARTS:
            if (path / name).exists():
                shutil.rmtree(path / name)
        (path / GRID).unlink(missing_ok=True)
        (path / "config.json").unlink()


def as_begun(config: Config, before: RunDirectory) -> Config:
    """The configuration with what a run keeps as it began, of what was asked for by other words.

    These are what `"auto"` and a parent's network meant then. A run from before there was a choice
    of the axis of TensorBoard's log keeps its own.

    Args:
        config: `Config` that was asked for.
        before: `RunDirectory` of the run that goes on.
    """
    model = config.model
    if model.network == PARENT:
        own = {"dropout": model.dropout, "dtype_policy": model.dtype_policy}
        model = replace(before.config.model, **own)
    if model.dtype_policy == "auto":
        model = replace(model, dtype_policy=before.config.model.dtype_policy)
    run = config.run
    if before.config.run.x_axis == "epochs":
        run = replace(run, x_axis="epochs")
    return replace(config, model=model, run=run)


def check_resumable(before: Config, now: Config) -> None:
    """Refuses to go on with a run under settings that would make it another run.

    Args:
        before: `Config` of the run.
        now: `Config` that was asked for, `as_begun`.

    Raises:
        ValueError: names each setting that differs, and those that may.
    """
    kept = ("run.seed", "run.init_from", "run.init_partial", "run.x_axis")
    differing = [
        f"{name} was {change['was']!r}, is {change['is']!r}"
        for name, change in changed_settings(before, now).items()
        if name in kept or not {name, name.split(".")[0]} & set(RESUMABLE)
    ]
    if differing:
        raise ValueError(
            f"A resumed run must keep its settings, but for {', '.join(RESUMABLE)} (not "
            f"{', '.join(kept)}). Received: {'; '.join(differing)}"
        )


def check_same_data(before: RunDirectory, now: RunDirectory) -> None:
    """Refuses to go on with a run on other images.

    That is other classes, shape, number, pixels, another split, or mirrored where they were not.

    Args:
        before: `RunDirectory` of the run.
        now: `RunDirectory` that it would become.

    Raises:
        ValueError: names what differs.
    """
    names = ["class_names", "image_shape", "num_images"]
    names += [name for name in ("data_sha256", "mirrored") if getattr(before, name) is not None]
    differing = [
        f"{name} was {getattr(before, name)!r}, is {getattr(now, name)!r}"
        for name in names
        if getattr(before, name) != getattr(now, name)
    ]
    if differing:
        raise ValueError(
            f"A resumed run must keep its data. Received: {'; '.join(differing)} in "
            f"{now.config.data.name!r}"
        )
