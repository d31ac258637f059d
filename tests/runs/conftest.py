"""A run that takes a second: the smallest U-Net, a few batches of the digits."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from kdiffusion.runs.build import build_model
from kdiffusion.runs.checkpoints import STATE, logs_of
from kdiffusion.runs.presets import PRESETS
from kdiffusion.runs.run_directory import RunDirectory

# The same network for a command, or a process of its own.
TINY = [
    "digits", "--model.base-channels", "4", "--model.channel-multipliers", "1",
    "--model.dtype-policy", "float32", "--optimizer.name", "adamw", "--optimizer.batch-size",
    "256", "--sampling.steps", "2", "--run.sample-every-epochs", "100",
]  # fmt: skip


def tiny(**sections):
    """The digits preset with a network of a few thousand weights; six steps per epoch."""
    settings = {
        "model.base_channels": 4, "model.channel_multipliers": (1,),
        "model.attention_resolutions": (), "model.dtype_policy": "float32",
        "optimizer.name": "adamw", "optimizer.epochs": 2, "optimizer.batch_size": 256,
        "optimizer.learning_rate": 2e-3, "optimizer.warmup_steps": 0,
        "optimizer.learning_rate_shape": "cosine", "optimizer.ema_decay": 0.995,
        "sampling.steps": 2, "run.sample_every_epochs": 100,
        "run.checkpoint_every_epochs": 1, "run.log_every_steps": 100,
    }  # fmt: skip
    whole = {name: values for name, values in sections.items() if not isinstance(values, dict)}
    for section in sections.keys() - whole.keys():
        settings.update({f"{section}.{name}": value for name, value in sections[section].items()})
    return dataclasses.replace(PRESETS["digits"].replace(**settings), **whole)


@pytest.fixture(scope="session")
def tiny_model():
    """A function: the compiled model of the tiny configuration, all weights one number."""

    def make(fill=0.0, **sections):
        model = build_model(tiny(**sections), (8, 8, 1), 10, total_steps=12)
        for variable in [*model.weights, *model.optimizer.variables]:
            variable.assign(np.full(variable.shape, fill))
        return model

    return make


def last_checkpoint(run):
    """The results of a run's last epoch, and the bytes of every variable, by name."""
    folder = max((run / "checkpoints").glob("step_*"))
    with np.load(folder / STATE) as state:
        numbers = {name: state[name].tobytes() for name in state}
    parts = {"network", "ema_network", "optimizer", "step", "metrics"}
    assert {name.split("/")[0] for name in numbers} >= parts
    logs = logs_of(folder)
    quarter = RunDirectory.read(run).config.diffusion.num_timesteps // 4
    first = {f"loss_t0_{quarter - 1}", f"val_loss_t0_{quarter - 1}"}
    assert logs.keys() >= {"loss", "gradient_norm", "val_loss"} | first
    return {"logs": logs, **numbers}


def as_it_was(run, copy, step):
    """Copies the folder of a run as it was when that step was saved."""
    shutil.copytree(run, copy)
    for folder in Path(copy).glob("checkpoints/**/step_*"):
        if int(folder.name.removeprefix("step_")) > step:
            shutil.rmtree(folder)
