"""A run in a few lines: its settings, then what its data and devices are. No TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from kdiffusion.runs.config import PARENT

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
    return [
        f"  data set    {config.data.name}",
        f"  folder      {run_dir}",
        f"  network     {_network(config)}",
        f"  objective   {objective}",
        f"  length      {optimizer.epochs:,} epochs, {optimizer.batch_size:,} images per step",
    ]


def _network(config):
    model = config.model
    if model.network == PARENT:  # read later: the settings beside it are not this network's
        return f"that of {config.run.init_from}"
    widths = [model.base_channels * multiplier for multiplier in model.channel_multipliers]
    widths = model.own_arguments.get("widths", widths)  # of a network that takes them so
    channels = " ".join(map(str, widths))
    return f"{model.network}, {channels} channels, blocks per level: {model.blocks_per_level}"


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
        *(f"  note        {note}" for note in notes(config, dataset.image_shape[0], total_steps)),
    ]


def notes(config: Config, height: int, total_steps: int) -> Iterator[str]:
    """Settings that hardly serve the run, in a line each.

    Args:
        config: `Config`.
        height: int. Of the run's images.
        total_steps: int. Of the whole run.
    """
    model, warmup = config.model, config.optimizer.warmup_steps
    if 2 * warmup > total_steps:
        yield f"optimizer.warmup_steps {warmup}: the learning rate rises for most of the run"
    if not config.objective.learns_null_label and config.sampling.guidance_strength != 0:
        yield "objective.label_dropout 0: no guidance is learnt, so samples have none"
    heights = [height // (model.patch_size * 2**n) for n in range(len(model.channel_multipliers))]
    unused = sorted({*model.attention_resolutions} - {*heights})
    if model.network == "unet" and unused:
        yield f"model.attention_resolutions {unused}: the maps' heights are {heights}"


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
