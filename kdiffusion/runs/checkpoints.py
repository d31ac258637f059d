"""Checkpoints of a run: whole or absent, checked before they are believed, the best kept apart.

```
checkpoints/
  step_00000120/          the newest; `keep` of these
    record.json           step, epoch logs, names of metrics, SHA-256 of each file and of itself
    state.index, state.data-00000-of-00001      tf.train.Checkpoint
  best/step_00000096/     the lowest validation loss at the end of an epoch
  diverged/step_00000119/ what a run that met NaN wrote after its loss had left its band
```

A training waits for a copy in memory alone. A thread of its own writes, checks and renames it.
"""

from __future__ import annotations

import math
import os
import shutil
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import tensorflow as tf

from kdiffusion.files import sha256_of, sync
from kdiffusion.runs.checkpoint_state import CheckpointState
from kdiffusion.runs.loss_band import LossBand
from kdiffusion.runs.sealed import read_sealed, write_sealed

if TYPE_CHECKING:
    from kdiffusion.training.diffusion_model import DiffusionModel

RECORD = "record.json"
# What a write that was cut short leaves behind; no reader looks at it. Not `files.staged`: a folder
# is written beside the training, one at a time, and lands under a name that is always free.
PARTIAL = ".partial"


class Checkpoints:
    """The checkpoints of a compiled, built `DiffusionModel`: all that a step changes.

    Args:
        model: a compiled `DiffusionModel` whose optimizer is built.
        directory: Path of the folder that holds them.
        keep: int. How many of the newest to keep. Defaults to `3`.
        after_change: function of nothing, which the thread that writes calls when a checkpoint is
            whole, before anybody is told so. It is called too when a run has gone back.
    """

    def __init__(
        self,
        model: DiffusionModel,
        directory: Path,
        keep: int = 3,
        after_change: Callable[[], None] = lambda: None,
    ):
        self._step = model.step
        self._state = CheckpointState(model)
        self._directory = Path(directory)
        self._keep = keep
        self._after_change = after_change
        self._writer = ThreadPoolExecutor(1, "checkpoint")
        self._pending: Future | None = None
        self.band = LossBand()

    @property
    def any(self) -> bool:
        """Whether there is a checkpoint, damaged ones included."""
        self.wait()
        return any_checkpoint(self._directory)

    def wait(self) -> None:
        """Returns when what was saved is on the disk.

        Raises:
            OSError: it could not be written.
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def close(self) -> None:
        """Waits for what is being written, and ends its thread."""
        try:
            self.wait()
        finally:
            self._writer.shutdown()

    def _candidates(self, best=False):
        newest, best_ones = _newest_first(self._directory), _newest_first(self._directory / "best")
        if not best:
            # The best is also a whole checkpoint of the run, should all of the newest be damaged.
            return newest + best_ones
        # A run that was killed before its best was copied has it among the newest.
        measured = [folder for folder in newest if math.isfinite(_val_loss(folder))]
        return sorted(best_ones + measured, key=_val_loss)

    def save(self, logs: dict | None = None, wait: bool = True) -> Path:
        """Writes a checkpoint named after the model's step, when the one before it is written.

        Args:
            logs: dict of the epoch's results, at the end of one: its `val_loss` tells whether it
                is the best so far. Defaults to `None`: amid an epoch.
            wait: bool. Whether to return when it is on the disk, or as soon as it is copied in
                memory. Defaults to `True`.

        Returns:
            Path of its folder.

        Raises:
            OSError: this one could not be written, or the one before it.
        """
        self.wait()
        step = int(self._step.numpy())
        logs = {name: float(value) for name, value in (logs or {}).items()}
        # All that goes on to change is taken here; the rest is done behind the training's back.
        self._state.snapshot()
        last_good = None if self.band.lowest is None else self.band.last_good_step(step + 1)
        record = {"step": step, "logs": logs, "metrics": self._state.metrics}
        record |= {"loss_band": self.band.to_record()}
        folder = self._directory / f"step_{step:08d}"
        self._pending = self._writer.submit(self._save, folder, record, last_good)
        if wait:
            self.wait()
        return folder

    def _save(self, folder, record, last_good):
        self._directory.mkdir(parents=True, exist_ok=True)
        self._clear_up(record["step"])
        self._write(_partial(folder), record)
        _move_into_place(_partial(folder), folder)
        if math.isfinite(record["logs"].get("val_loss", math.nan)):
            self._keep_best()
        _remove(self._surplus(last_good))
        self._after_change()

    def _surplus(self, last_good):
        """What may go: all but the newest, and one that is good even if the next step is not."""
        newest = _newest_first(self._directory)
        good = []
        if last_good is not None:
            good = [folder for folder in newest if _step_of(folder) <= last_good][:1]
        return [folder for folder in newest[self._keep :] if folder not in good]

    def last_good(self, step: int) -> Path | None:
        """The checkpoint to go back to from a step whose loss or gradient is not finite.

        Args:
            step: int. As of `LossBand.last_good_step`.

        Returns:
            Path of the newest whole one from before the loss left its band; None without one.
        """
        self.wait()
        last = self.band.last_good_step(step)
        for folder in self._candidates():
            try:
                if _step_of(folder) <= last and verify(folder):
                    return folder
            except ValueError:
                continue  # it is named when it is restored
        return None

    def go_back_to(self, good: Path) -> None:
        """Moves what is newer than a checkpoint to `diverged/`, where no reader looks."""
        self.wait()
        aside = self._directory / "diverged"
        for folder in [f for f in _newest_first(self._directory) if _step_of(f) > _step_of(good)]:
            aside.mkdir(exist_ok=True)
            _remove(path for path in _newest_first(aside) if path.name == folder.name)
            os.rename(folder, aside / folder.name)
        self._after_change()

    def _clear_up(self, step):
        """Removes what a killed write left, and the damaged ones that the run went back behind."""
        for directory in (self._directory, self._directory / "best", self._directory / "diverged"):
            for leftover in directory.glob(f"step_*{PARTIAL}"):
                if _step_of(leftover.with_suffix("")) >= 0 and leftover.is_dir():
                    shutil.rmtree(leftover)
        _remove(path for path in _newest_first(self._directory) if _step_of(path) >= step)
        # The run has come past them by another way.
        passed = _newest_first(self._directory / "diverged")
        _remove(path for path in passed if _step_of(path) <= step)

    def _write(self, folder, record):
        folder.mkdir()
        try:
            self._state.write(str(folder / "state"))
        except tf.errors.OpError as error:
            raise OSError(f"{folder} could not be written: {error.message}") from error
        files = {path.name: sha256_of(path) for path in sorted(folder.iterdir())}
        write_sealed(folder / RECORD, record | {"files": files})

    def keep_best(self) -> None:
        """Copies the whole checkpoint of the lowest validation loss to `best/`, if it is not there.

        Of all that there are, not the newest alone: a run may have been killed before it copied.
        """
        self.wait()
        self._keep_best()

    def _keep_best(self):
        damaged = set()
        for folder in _newest_first(self._directory / "best"):
            try:
                verify(folder)
            except ValueError as error:
                damaged.add(folder)
                warnings.warn(f"The best checkpoint so far is replaced: {error}", stacklevel=2)
        for folder in self._candidates(best=True):
            if folder not in damaged and self._is_best_now(folder):
                others = _newest_first(self._directory / "best")
                _remove(path for path in others if path.name != folder.name)
                return

    def _is_best_now(self, folder):
        """Whether a checkpoint is in `best/`, copied if it was not; False if it is damaged."""
        if folder.parent == self._directory:
            try:
                verify(folder)
            except ValueError:
                return False  # it is named when it is restored
            self._copy_to_best(folder)
        return True

    def _copy_to_best(self, folder):
        best = self._directory / "best"
        best.mkdir(exist_ok=True)
        # A copy, no link: damage to one is not damage to both.
        copy = best / folder.name
        # A damaged one of the same step: the run went back behind it, and came here again.
        _remove(path for path in _newest_first(best) if path == copy)
        if _partial(copy).exists():  # of a copy that was killed, or that the disk had no room for
            shutil.rmtree(_partial(copy))
        shutil.copytree(folder, _partial(copy))
        _move_into_place(_partial(copy), copy)

    def restore(self, best: bool = False, to_draw: bool = False) -> int:
        """Restores the newest whole checkpoint in place, or the best; warns of damaged ones.

        Args:
            best: bool. Take the one of the lowest validation loss.
            to_draw: bool. Take the networks and the step alone, and ask for nothing else.

        Returns:
            int: its step.

        Raises:
            FileNotFoundError: there is none.
            ValueError: there are some, and all are damaged; or one is whole and another model's.
        """
        self.wait()
        damages = []
        for folder in self._candidates(best):
            try:
                record = verify(folder)
            except ValueError as error:
                damages.append(str(error))
                warnings.warn(f"{error}. It is skipped for the one before.", stacklevel=2)
                continue
            try:
                missing = self._state.read(str(folder / "state"), record.get("metrics"), to_draw)
            except (ValueError, tf.errors.OpError) as error:
                raise ValueError(f"Checkpoint {folder} is not of this model: {error}") from error
            if missing and not to_draw and not record.get("logs"):
                warnings.warn(
                    f"{folder} does not hold {', '.join(sorted(missing))}: the results of the "
                    "epoch under way are those of its rest.",
                    stacklevel=2,
                )
            self.band = LossBand(**record.get("loss_band", {}))
            return record["step"]
        if damages:
            raise ValueError(f"No checkpoint of the run can be used: {'; '.join(damages)}")
        raise FileNotFoundError(
            f"{self._directory} must hold a checkpoint{' of an epoch' if best else ''}; it holds "
            "none. The run has not written its first."
        )


def verify(folder: Path) -> dict:
    """The record of a checkpoint whose files are all as they were written.

    Args:
        folder: Path of the checkpoint.

    Raises:
        ValueError: naming the folder and what is damaged in it.
    """
    try:
        record = read_sealed(folder / RECORD)
        if not isinstance(record.get("step"), int) or not isinstance(record.get("files"), dict):
            raise ValueError(f"{RECORD} must tell the step and the files")
        if {name.split("-")[0] for name in record["files"]} != {"state.index", "state.data"}:
            raise ValueError(
                f"{RECORD} must tell of the state. Received: {sorted(record['files'])}"
            )
        for name, sha256 in record["files"].items():
            if sha256_of(folder / name) != sha256:
                raise ValueError(f"{name} does not have the SHA-256 that it was written with")
    except (OSError, ValueError, KeyError, RecursionError) as error:
        raise ValueError(f"Checkpoint {folder} is damaged: {error}") from error
    return record


def any_checkpoint(directory: Path) -> bool:
    """Whether there is a checkpoint in a folder, or a best one, damaged ones included."""
    return bool(_newest_first(directory) or _newest_first(directory / "best"))


def _newest_first(directory):
    ours = (path for path in directory.glob("step_*/") if _step_of(path) >= 0)
    return sorted(ours, key=_step_of, reverse=True)


def _step_of(folder):
    """The step in a checkpoint's name; -1 for what only begins like one, such as a copy."""
    number = folder.name.removeprefix("step_")
    return int(number) if number.isdecimal() else -1


def _val_loss(folder):
    """The validation loss in a checkpoint's record; infinity without one that can be read."""
    try:
        val_loss = read_sealed(folder / RECORD)["logs"]["val_loss"]
        return val_loss if math.isfinite(val_loss) else math.inf
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return math.inf


def _partial(folder):
    return folder.with_name(folder.name + PARTIAL)


def _move_into_place(partial, folder):
    """Renames a written folder to its name when all of it is on the disk."""
    for path in (*partial.iterdir(), partial):
        sync(path)
    os.rename(partial, folder)
    sync(folder.parent)


def _remove(folders):
    """Removes checkpoints, under names that no reader looks at: half of one is none."""
    for folder in folders:
        os.rename(folder, _partial(folder))
        shutil.rmtree(_partial(folder))
