"""Reads a model that diffusers saved: a folder or a Hub repository, its weights in safetensors.

Neither torch nor diffusers is needed. Pickles (`.bin`), which run code when they are opened, are
not read.
"""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kdiffusion.atomic_files import sha256_of
from kdiffusion.diffusion.card import Parent
from kdiffusion.tables import check_name

from . import network, scheduler

INDEX, NETWORK_CONFIG, SCHEDULER_CONFIG = "model_index.json", "config.json", "scheduler_config.json"
WEIGHTS = "diffusion_pytorch_model.safetensors"
VARIANTS = "diffusion_pytorch_model.*.safetensors"  # such as diffusion_pytorch_model.fp16...
CONFIGS = ["*.json", "unet/*.json", "scheduler/*.json"]
TENSORS = ["diffusion_pytorch_model*.safetensors", "unet/*.safetensors"]


class DiffusersModel(NamedTuple):
    """What a folder of diffusers holds.

    Attributes:
        name: str. Of the folder or the Hub repository.
        arguments: dict. The arguments of `UNet2D` but `num_classes`.
        tensors: dict from diffusers' name to float32 array, in PyTorch's layout.
        fields: dict. What it says of a card's fields: whence it came, and how its pipeline samples.
        without: what of that has no field there.
    """

    name: str
    arguments: dict
    tensors: dict[str, np.ndarray]
    fields: dict[str, Any]
    without: list[str]


def read(source: str | os.PathLike) -> DiffusersModel:
    """Reads a model of diffusers: `UNet2DModel` with a scheduler of `SCHEDULERS`.

    Args:
        source: path of a folder that `save_pretrained` wrote, of the pipeline or with all in one
            place; or `owner/name` or `owner/name@revision` of a Hub repository, which
            `huggingface_hub` downloads.

    Returns:
        DiffusersModel.

    Raises:
        ValueError: a model that isn't supported: names the field.
        OSError: a file is missing, or can't be downloaded.
    """
    folder, name, is_download = Path(source), Path(source).resolve().name, False
    if not folder.exists():
        name, is_download = str(source).removeprefix("hf://"), True
        folder = _download(name, CONFIGS)
    pipeline = None
    if (folder / INDEX).is_file():
        pipeline = _read_json(folder / INDEX)["_class_name"]
        check_name("_class_name", pipeline, scheduler.PIPELINES)
    arguments = network.arguments_of(_read_json(_part(folder, "unet") / NETWORK_CONFIG))
    scheduler_config = _read_json(_part(folder, "scheduler") / SCHEDULER_CONFIG)
    schedule, prediction_type = scheduler.schedule_of(scheduler_config)
    if is_download:  # only now: without the weights of what isn't supported
        _download(name, TENSORS)
    tensors, sha256 = _read_tensors(_part(folder, "unet"))
    sampling, without = scheduler.sampling_of(scheduler_config, schedule.num_timesteps, pipeline)
    fields = {
        "image_shape": arguments["image_shape"], "preset": name,
        "parent": Parent(name=name, sha256=sha256), "prediction_type": prediction_type,
        "alphas_cumprod": tuple(schedule.alphas_cumprod.tolist()), **sampling,
    }  # fmt: skip
    return DiffusersModel(name, arguments, tensors, fields, without)


def _part(folder, name):
    """Where a part of a pipeline lies: in a folder of its own, or in older ones beside the rest."""
    return folder / name if (folder / name).is_dir() else folder


def _download(name, patterns):
    """The folder of a Hub repository's files; `name` is owner/name, with @revision or without."""
    from huggingface_hub import snapshot_download

    repository, _, revision = name.partition("@")
    return Path(snapshot_download(repository, revision=revision or None, allow_patterns=patterns))


def _read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def _read_tensors(folder):
    """(float32 arrays by diffusers' current names, SHA-256 of the file, or of its one variant)."""
    from safetensors.numpy import load_file

    variants = sorted(folder.glob(VARIANTS))
    is_variant = len(variants) == 1 and not (folder / WEIGHTS).exists()
    path = variants[0] if is_variant else folder / WEIGHTS
    tensors = {
        network.current_name(name): value.astype(np.float32)
        for name, value in load_file(path).items()
    }
    return tensors, sha256_of(path)
