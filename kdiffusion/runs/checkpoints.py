"""Checkpoints of a run: whole or absent, checked before they are restored, the best kept apart.

```
checkpoints/
  step_00000120/          the newest; `keep` of these
    state.npz             all that a step changes, as NumPy arrays by name
    record.json           the epoch's results
  best/step_00000096/     the lowest validation loss at the end of an epoch
```
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kdiffusion.atomic_files import PARTIAL, sync

if TYPE_CHECKING:
    from kdiffusion.training.diffusion_model import DiffusionModel

STATE, RECORD = "state.npz", "record.json"
# What reading a damaged one raises: RuntimeError where a flag says that it is encrypted.
DAMAGE = (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile)
# What the exported network is made of. To train on takes all.
SAMPLED_WITH = ("step", "network", "ema_network")


def variables_of(model: DiffusionModel) -> dict[str, Any]:
    """{name: variable} of all that a training step changes.

    Weights, their moving average, the optimizer (with float16's loss scale), the step, what the
    sampling of timesteps has learnt, and the running means of the epoch.

    Args:
        model: a compiled `DiffusionModel` whose optimizer is built.
    """
    lists = {
        "network": model.network.weights,
        "ema_network": model.ema_network.weights,
        "teacher": getattr(model.teacher, "weights", []),
        "optimizer": model.optimizer.variables,
        "timestep_sampling": getattr(model.timestep_sampler, "variables", []),
    }
    numbered = {
        f"{name}/{number}": variable
        for name, variables in lists.items()
        for number, variable in enumerate(variables)
    }
    metrics = {
        f"metrics/{metric.name}/{variable.name}": variable
        for metric in model.metrics
        for variable in metric.variables
    }
    return {"step": model.step, **numbered, **metrics}


class Checkpoints:
    """The checkpoints of a compiled, built `DiffusionModel`.

    Args:
        model: a compiled `DiffusionModel` whose optimizer is built.
        directory: Path of the folder that holds them.
        keep: int. How many of the newest to keep. Defaults to `3`.
    """

    def __init__(self, model: DiffusionModel, directory: Path, keep: int = 3):
        self._model = model
        self._directory, self._best = Path(directory), Path(directory, "best")
        self._keep = keep

    def save(self, logs: dict | None = None) -> Path:
        """Writes a checkpoint named after the model's step.

        Args:
            logs: dict of the epoch's results, at the end of one: its `val_loss` decides whether it
                is the best so far. Defaults to `None`: amid an epoch.

        Returns:
            Path of its folder.
        """
        step = int(self._model.step.numpy())
        folder = self._directory / f"step_{step:08d}"
        for leftover in self._directory.glob(f"**/step_*{PARTIAL}"):  # of a killed process
            shutil.rmtree(leftover)
        partial = _partial(folder)
        partial.mkdir(parents=True)
        arrays = {name: each.numpy() for name, each in variables_of(self._model).items()}
        np.savez(partial / STATE, **arrays)
        record = {"logs": {name: float(value) for name, value in (logs or {}).items()}}
        (partial / RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")
        # Newer ones were damaged: the run went on from one before.
        for other in [other for other in newest_first(self._directory) if _step_of(other) >= step]:
            _remove(other)
        _move_into_place(partial, folder)
        self._keep_best()
        for other in newest_first(self._directory)[self._keep :]:
            _remove(other)
        return folder

    def _keep_best(self):
        """Copies the checkpoint of the lowest validation loss to `best/`, if it is not there."""
        ranked = self._by_validation_loss()
        if not ranked or ranked[0].parent == self._best:
            return
        # A copy, no link: damage to one is not damage to both.
        copy = self._best / ranked[0].name
        shutil.copytree(ranked[0], _partial(copy))
        if copy.exists():
            _remove(copy)
        _move_into_place(_partial(copy), copy)
        for other in newest_first(self._best):
            if other != copy:
                _remove(other)

    def _by_validation_loss(self):
        """Checkpoints with a validation loss, the lowest first; of the same, that in `best/`."""
        every = newest_first(self._best) + newest_first(self._directory)
        return sorted(
            (folder for folder in every if math.isfinite(val_loss_of(folder))), key=val_loss_of
        )

    def restore(self, best: bool = False, to_sample: bool = False) -> int:
        """Restores the newest whole checkpoint in place, or the best; warns of damaged ones.

        Args:
            best: bool. Take the one of the lowest validation loss.
            to_sample: bool. Take the networks and the step alone.

        Returns:
            int: its step.
        """
        every = self._by_validation_loss() if best else all_checkpoints(self._directory)
        variables = variables_of(self._model)
        if to_sample:
            variables = {
                name: each for name, each in variables.items()
                if name.split("/")[0] in SAMPLED_WITH
            }  # fmt: skip
        for folder in every:
            try:
                with np.load(folder / STATE) as state:  # which checks the CRC-32 of each array
                    values = {name: state[name] for name in variables}
            except DAMAGE as error:
                warnings.warn(f"{folder} is damaged and was skipped: {error!r}", stacklevel=2)
                continue
            for name, variable in variables.items():
                variable.assign(values[name])
            return int(self._model.step.numpy())
        raise FileNotFoundError(
            f"{self._directory} holds no whole checkpoint{' of an epoch' if best else ''}"
        )


def logs_of(folder: Path) -> dict[str, float]:
    """The epoch's results in a checkpoint; empty for one amid an epoch, or in a damaged record."""
    try:
        return json.loads((folder / RECORD).read_text(encoding="utf-8"))["logs"]
    except DAMAGE:
        return {}


def newest_first(directory: Path) -> list[Path]:
    """Folders of the checkpoints in a folder."""
    ours = (path for path in directory.glob("step_*") if re.fullmatch(r"step_\d+", path.name))
    return sorted(ours, key=_step_of, reverse=True)


def all_checkpoints(directory: Path) -> list[Path]:
    """Those that a run may resume from, the newest first and the best last."""
    return newest_first(directory) + newest_first(directory / "best")


def _step_of(folder):
    return int(folder.name.removeprefix("step_"))


def val_loss_of(folder: Path) -> float:
    """The validation loss in a checkpoint; NaN for one that has none."""
    return logs_of(folder).get("val_loss", math.nan)


def _partial(folder):
    return folder.with_name(folder.name + PARTIAL)


def _move_into_place(partial, folder):
    """Renames a written folder to its name when all of it is on the disk."""
    for path in (*partial.iterdir(), partial):
        sync(path)
    os.rename(partial, folder)
    sync(folder.parent)


def _remove(folder):
    """Removes a checkpoint, under a name that no reader looks at: half of one is none."""
    going = folder.with_name(f"{folder.name}.old{PARTIAL}")
    os.rename(folder, going)
    shutil.rmtree(going)
