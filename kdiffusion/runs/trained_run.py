"""What a run has trained, in memory: its model, with the card that its exported file will have."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kdiffusion.diffusion.card import DataSplit, DenoiserCard
from kdiffusion.runs.build import build_model
from kdiffusion.runs.checkpoints import Checkpoints
from kdiffusion.runs.run_directory import RunDirectory
from kdiffusion.training import DiffusionModel

if TYPE_CHECKING:
    from kdiffusion.runs.remote_run import RunCopy


@dataclass(frozen=True)
class Run:
    """A run in memory: its `model`, the model's `card`, its `directory`.

    `is_chief` says whether this process writes what all workers share. `remote` is the run at a URL
    whose copy the directory is; None where that is the run itself.
    """

    model: DiffusionModel
    card: DenoiserCard
    directory: RunDirectory
    is_chief: bool = True
    remote: RunCopy | None = None


def load_run(run_dir: str | os.PathLike, best: bool = False) -> Run:
    """Loads a run's model from its newest checkpoint, for export and evaluation.

    Args:
        run_dir: path of the run's folder.
        best: bool. Load the checkpoint with the lowest validation loss instead.

    Raises:
        FileNotFoundError: no run there, or no complete checkpoint.
    """
    directory = RunDirectory.read(run_dir)
    model = build_model(
        directory.config, directory.image_shape, len(directory.class_names), total_steps=1
    )
    Checkpoints(model, directory.checkpoints).restore(best, to_sample=True)
    return Run(model, make_card(model, directory), directory)


def make_card(model: DiffusionModel, directory: RunDirectory) -> DenoiserCard:
    """The card of a run's model: what its exported file will say of itself."""
    config = directory.config
    guidance: dict[str, Any] = {
        "guidance_strength": config.sampling.guidance_strength,
        "guidance_interval": config.sampling.guidance_interval,
    }
    if model.label_dropout == 0:  # the model's own card recommends none
        guidance = {}
    return model.card(
        class_names=directory.class_names,
        dataset=config.data.name,
        preset=config.preset,
        images_seen=int(model.step.numpy()) * config.optimizer.batch_size,
        sampler=config.sampling.sampler,
        steps=config.sampling.steps,
        timesteps=config.sampling.timesteps,
        data_split=DataSplit(
            seed=config.run.seed,
            validation_fraction=config.data.validation_fraction,
            sha256=directory.data_sha256,
        ),
        parent=directory.parent,
        **guidance,
    )
