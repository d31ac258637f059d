"""What a run is, in a few lines: first what its settings say, then what is found. No TensorFlow."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kdiffusion.runs.config import PARENT, network_options
from kdiffusion.tensorflow_start import NVIDIA_DEVICES

if TYPE_CHECKING:
    import tensorflow as tf

    from kdiffusion.data.image_dataset import ImageDataset
    from kdiffusion.runs.config import Config
    from kdiffusion.training.diffusion_model import DiffusionModel


def settings_lines(
    config: Config,
    run_dir: str | os.PathLike,
    num_images: int | None = None,
    num_classes: int | None = None,
) -> list[str]:
    """What a configuration says of a run by itself, for the first second: lines of text.

    Args:
        config: `Config`.
        run_dir: path of the run's folder.
        num_images, num_classes: int. Of the data set, where they are known by then.
    """
    counts = ((num_images, "images"), (num_classes, "classes"))
    known = [f"{number:,} {what}" for number, what in counts if number]
    diffusion, optimizer = config.diffusion, config.optimizer
    return [
        f"  data set    {', '.join([config.data.name, *known])}",
        f"  folder      {run_dir}",
        f"  network     {_network(config)}",
        f"  objective   {diffusion.prediction_type}, {diffusion.schedule} schedule",
        f"  length      {optimizer.epochs:,} epochs, {optimizer.batch_size:,} images per step",
    ]


def _network(config):
    model = config.model
    if model.network == PARENT:  # read later: the settings beside it are not this network's
        return f"that of {config.run.init_from}"
    widths = [model.base_channels * multiplier for multiplier in model.channel_multipliers]
    widths = network_options(model).get("widths", widths)  # of a network that takes them so
    channels = " ".join(map(str, widths))
    return f"{model.network}, {channels} channels, blocks per level: {model.blocks_per_level}"


def found_lines(
    model: DiffusionModel, dataset: ImageDataset, config: Config, strategy: tf.distribute.Strategy
) -> list[str]:
    """What is known of a run when data set, network and devices are there: lines of text."""
    shape = "x".join(str(side) for side in dataset.image_shape)
    held_out, steps = (
        len(dataset.validation_images),
        dataset.steps_per_epoch(config.optimizer.batch_size),
    )
    return [
        f"  images      {len(dataset.images):,} of {shape}, {held_out:,} more held out",
        f"  parameters  {model.network.count_params():,}, {config.model.dtype_policy}",
        f"  steps       {config.optimizer.epochs * steps:,}: {steps:,} per epoch",
        f"  devices     {_devices(strategy)}",
    ]


def _devices(strategy):
    names = strategy.extended.worker_devices
    kinds = sorted({name.split(":")[-2] for name in names})
    replicas = strategy.num_replicas_in_sync
    if kinds != ["CPU"]:
        return f"{replicas} {'/'.join(kinds)}"
    said = f"processor, {os.cpu_count()} cores"
    if any(os.path.exists(device) for device in NVIDIA_DEVICES):
        said += "; TensorFlow finds no GPU, but the machine has one: pip install "
        said += "'tensorflow[and-cuda]'"
    return said if replicas == 1 else f"{said}, {replicas} replicas"
