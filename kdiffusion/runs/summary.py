"""A run in a few lines: its settings, then what its data and devices are. No TensorFlow."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

NVIDIA_DEVICES = ("/dev/nvidia0", "/dev/nvidiactl", "/dev/dxg")

if TYPE_CHECKING:
    import tensorflow as tf

    from kdiffusion.data.image_dataset import ImageDataset
    from kdiffusion.runs.config import Config
    from kdiffusion.training.diffusion_model import DiffusionModel


def settings_lines(config: Config, run_dir: str | os.PathLike) -> list[str]:
    """What a configuration says about a run before TensorFlow is loaded: lines of text.

    Args:
        config: `Config`.
        run_dir: path of the run's folder.
    """
    diffusion, optimizer = config.diffusion, config.optimizer
    objective = f"{diffusion.prediction_type}, {diffusion.schedule} schedule"
    if config.objective.has_teacher:
        objective = f"as its teacher samples, in {config.sampling.steps} steps"
    place = f", {config.data.directory}" if config.data.directory else ""
    return [
        f"  data set    {config.data.name}{place}",
        f"  run folder  {run_dir}",
        f"  network     {config.model.network}",
        f"  objective   {objective}",
        f"  length      {optimizer.epochs:,} epochs, {optimizer.batch_size:,} images per step",
    ]


def found_lines(
    model: DiffusionModel,
    dataset: ImageDataset,
    config: Config,
    strategy: tf.distribute.Strategy,
    total_steps: int,
) -> list[str]:
    """What is known about a run once data set, network and devices are there: lines of text."""
    shape = "x".join(str(side) for side in dataset.image_shape)
    held_out = len(dataset.validation_images)
    steps = total_steps // config.optimizer.epochs
    return [
        f"  images      {len(dataset.images):,} of {shape}, {held_out:,} more held out",
        f"  parameters  {model.network.count_params():,}, {config.model.dtype_policy}",
        f"  steps       {total_steps:,}: {steps:,} per epoch",
        f"  devices     {_devices(strategy)}",
        *notes(config, dataset.image_shape[0]),
    ]


def notes(config: Config, height: int) -> list[str]:
    """A line if settings ask for attention that no map of the U-Net has.

    Args:
        config: `Config`.
        height: int. Of the run's images.
    """
    model = config.model
    heights = [height // (model.patch_size * 2**n) for n in range(len(model.channel_multipliers))]
    unused = sorted({*model.attention_resolutions} - {*heights})
    if model.network != "unet" or not unused:
        return []
    return [f"  note        no self-attention at heights {unused}: the maps' are {heights}"]


def _devices(strategy):
    kinds = sorted({name.split(":")[-2] for name in strategy.extended.worker_devices})
    replicas = strategy.num_replicas_in_sync
    if kinds != ["CPU"]:
        return f"{replicas} {'/'.join(kinds)}"
    said = f"processor, {os.cpu_count()} cores"
    if any(os.path.exists(device) for device in NVIDIA_DEVICES):
        said += "; TensorFlow finds no GPU, but the machine has one: pip install "
        said += "'tensorflow[and-cuda]'"
    return said if replicas == 1 else f"{said}, {replicas} replicas"
