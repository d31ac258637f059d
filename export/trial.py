"""A trial export of a run's network before it is trained, in a process of its own.

A network that trains may have an operation that a converter doesn't know. That is found here in the
first minute, not after the last epoch. The training does not wait.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from kdiffusion.artifacts.denoiser import ArtifactError

from .formats import DEFAULT_FORMATS, export_network

if TYPE_CHECKING:
    from kdiffusion.runs.config import Config

NICENESS = 10  # the training goes first


class TrialExport(keras.callbacks.Callback):
    """Exports the untrained network beside the first steps, and stops the training if that fails.

    Also a context: leaving it ends the trial, and removes its files.

    Args:
        config: `Config` of the run.
        formats: keys of `export.FORMATS`. Defaults to those that training exports.

    Raises:
        ArtifactError: at the end of a training batch: with the exporter's words.
    """

    def __init__(self, config: Config, formats: Sequence[str] = DEFAULT_FORMATS):
        super().__init__()
        self._config = config
        self._formats = formats
        self._process: subprocess.Popen | None = None

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="trial_export_")
        self._errors = open(Path(self._folder.name, "errors.txt"), "w+", encoding="utf-8")
        return self

    def __exit__(self, *exception):
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._errors.close()
        self._folder.cleanup()

    def on_train_begin(self, logs: Any = None) -> None:
        # A run that goes on was tried when it began.
        if self._process is None and int(self.model.step.numpy()) == 0:
            self._process = self._start()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._process is not None and self._process.poll():
            self._refuse(self._process.returncode)

    def _start(self):
        network = self.model.network
        job = {
            "config": json.loads(self._config.to_json()),
            "image_shape": network.image_shape,
            "num_classes": network.num_classes,
            "formats": self._formats,
            "folder": str(Path(self._folder.name, "export")),
        }
        process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            cwd=Path(str(sys.modules["kdiffusion"].__file__)).parents[1],
            # The GPU's memory is the training's.
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._errors, text=True,
            start_new_session=True,  # Ctrl-C is for the training
        )  # fmt: skip
        stream: Any = process.stdin
        stream.write(json.dumps(job) + "\n")
        stream.flush()  # and stays open: where it ends, the training did
        return process

    def _refuse(self, status):
        if status < 0:
            # Not its own fault: killed, as where memory is short. The training is worth more.
            print(
                f"The trial export was ended by {signal.Signals(-status).name}: whether this "
                "network can be exported is not known yet.",
                file=sys.stderr,
            )
            self._process = None
            return
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines() or [f"status {status}"]
        raise ArtifactError(
            "This network can't be exported, so the training stops at its beginning: "
            f"{lines[-1]}. `--no-trial-export` trains it all the same."
        )


def export_untrained(job: dict[str, Any]) -> None:
    """Builds the network of a configuration and exports it.

    Args:
        job: dict of `config`, `image_shape`, `num_classes`, `formats` and `folder`.

    Raises:
        ArtifactError, or what a converter raises: the network can't be exported.
    """
    from kdiffusion.runs.build import build_model
    from kdiffusion.runs.config import Config

    config = Config.from_json(json.dumps(job["config"]))
    model = build_model(config, tuple(job["image_shape"]), job["num_classes"], total_steps=1)
    export_network(model.ema_network, model.card(), job["folder"], tuple(job["formats"]))


def _end_with_the_training(folder):
    """Ends this process and removes its files when whoever started it is no more."""
    sys.stdin.read()
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


if __name__ == "__main__":
    os.nice(NICENESS)
    trial = json.loads(sys.stdin.readline())
    watch = threading.Thread(
        target=_end_with_the_training, args=[Path(trial["folder"]).parent], daemon=True
    )
    watch.start()
    export_untrained(trial)
