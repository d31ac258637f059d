"""Reads a model that diffusers saved: a folder or a Hub repository, its weights in safetensors.

Neither torch nor diffusers is needed. A pickle (`.bin`) runs code when it is opened, so it is
refused and never opened.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kdiffusion.diffusion.card import CardError, DenoiserCard
from kdiffusion.diffusion.schedules import NoiseSchedule
from kdiffusion.files import sha256_of
from kdiffusion.terminal import working

from . import diffusers_network, diffusers_scheduler
from .denoiser import ArtifactError

INDEX, NETWORK_CONFIG, SCHEDULER_CONFIG = "model_index.json", "config.json", "scheduler_config.json"
WEIGHTS = "diffusion_pytorch_model.safetensors"
WEIGHTS_INDEX = f"{WEIGHTS}.index.json"
VARIANTS = (
    "diffusion_pytorch_model.*.safetensors"  # such as diffusion_pytorch_model.fp16.safetensors
)
CARD = "kdiffusion_card.json"  # which `export_diffusers` leaves beside what diffusers reads
MOST_CONFIG_BYTES = 2**24
# What is downloaded of a Hub repository before its weights are: they may be of something else.
CONFIGS = [
    INDEX, NETWORK_CONFIG, SCHEDULER_CONFIG, CARD, WEIGHTS_INDEX, "unet/*.json", "scheduler/*.json",
]  # fmt: skip
PART = re.compile(r"[\w.-]+\.safetensors")  # a name, and no pattern of names
HUB_NAME = re.compile(r"(hf://)?([\w.-]+/[\w.-]+?)(@[\w./-]+)?")


@dataclasses.dataclass(frozen=True)
class DiffusersModel:
    """What a folder of diffusers holds.

    Attributes:
        name: str. Of the folder or the Hub repository.
        sha256: str. Of the file of weights; of all in their order, where there are several.
        arguments: dict. The arguments of `UNet2D` but `num_classes`.
        num_class_embeds: int or None. Rows of its label table; None where it has none.
        tensors: dict from diffusers' name to float32 array, in PyTorch's layout.
        schedule: NoiseSchedule.
        prediction_type: str, a key of `TARGETS`.
        drawing: Drawing. How its pipeline draws.
        card: DenoiserCard that `export_diffusers` left, or None.
    """

    name: str
    sha256: str
    arguments: dict
    num_class_embeds: int | None
    tensors: dict[str, np.ndarray]
    schedule: NoiseSchedule
    prediction_type: str
    drawing: diffusers_scheduler.Drawing
    card: DenoiserCard | None


def read(
    source: str | os.PathLike, image_size: int | Sequence[int] | None = None
) -> DiffusersModel:
    """Reads a model of diffusers: `UNet2DModel` with `DDPMScheduler` or `DDIMScheduler`.

    Args:
        source: path of a folder that `save_pretrained` wrote, of the pipeline or with all in one
            place; or `owner/name` or `owner/name@revision` of a Hub repository, which
            `huggingface_hub` downloads.
        image_size: int or (height, width) in pixels, in place of the model's own.

    Returns:
        DiffusersModel.

    Raises:
        FileNotFoundError: nothing is there.
        ArtifactError: what is there cannot be read, or isn't supported: names what, and why.
    """
    folder, name, repository = _local(source)
    if not folder.is_dir():
        raise ArtifactError(
            f"`source` must be a folder in diffusers' layout, or owner/name of a Hub repository. "
            f"Received: {source}"
        )
    pipeline = _pipeline(folder)
    inner = folder / "unet" if (folder / "unet").is_dir() else folder
    network_path, config = _config(inner, NETWORK_CONFIG, diffusers_network.CLASS)
    with _naming(network_path):
        arguments = diffusers_network.arguments_of(config, image_size)
    inner_scheduler = folder / "scheduler" if (folder / "scheduler").is_dir() else folder
    scheduler_path, scheduler = _config(inner_scheduler, SCHEDULER_CONFIG)
    with _naming(scheduler_path):
        schedule, prediction_type = diffusers_scheduler.schedule_of(scheduler)
        drawing = diffusers_scheduler.drawing_of(scheduler, schedule.num_timesteps, pipeline)
    if repository is not None:
        _download_weights(source, repository, folder, inner)
    tensors, sha256 = _tensors(inner)
    return DiffusersModel(
        name, sha256, arguments, config.get("num_class_embeds"), tensors, schedule,
        prediction_type, drawing, _card(folder),
    )  # fmt: skip


@contextlib.contextmanager
def _naming(path):
    """Makes a ValueError one that names the file."""
    try:
        yield
    except (ValueError, OverflowError) as error:
        raise ArtifactError(f"{path}: {error}") from error


def _local(source):
    """(folder on this machine, name of the model, its repository on the Hub or None)."""
    path = Path(source)
    if path.exists():
        return path, path.resolve().name, None
    match = HUB_NAME.fullmatch(str(source))
    if match is None:
        raise FileNotFoundError(
            f"`source` must be a folder in diffusers' layout, or owner/name of a Hub repository. "
            f"Received: {source}, which does not exist"
        )
    _, repository, revision = match.groups()
    folder = _downloaded(source, repository, revision and revision[1:], CONFIGS)
    return folder, f"{repository}{revision or ''}", repository


def _downloaded(source, repository, revision, patterns):
    """The folder of a Hub repository's files that are asked for, and of those that came before."""
    from huggingface_hub import snapshot_download

    with working(f"downloading {source}"):
        return Path(snapshot_download(repository, revision=revision, allow_patterns=patterns))


def _download_weights(source, repository, folder, inner):
    """Fetches the weights of a network whose configuration is in `inner`, and nothing else."""
    commit = folder.name  # as huggingface_hub names it: the revision may have moved on
    within = "" if inner == folder else f"{inner.name}/"
    names = [WEIGHTS, *_listed_parts(inner)]
    _downloaded(source, repository, commit, [within + name for name in names])
    if not any((inner / name).is_file() for name in names):
        _downloaded(source, repository, commit, [within + VARIANTS])


def _pipeline(folder):
    """Class of the pipeline, or None where the folder isn't one of a pipeline."""
    if not (folder / INDEX).is_file():
        return None
    path, index = _config(folder, INDEX)
    pipeline = index.get("_class_name")
    # A pipeline of somebody's own is a list: its file, and its class.
    if not isinstance(pipeline, str) or pipeline not in diffusers_scheduler.PIPELINES:
        raise ArtifactError(
            f"{path}: `_class_name` must be one of {', '.join(diffusers_scheduler.PIPELINES)}. "
            f"Received: {pipeline!r}"
        )
    return pipeline


def _config(folder, name, class_name=None):
    """(path, content) of a JSON file; a class other than the one that is asked for is refused."""
    path = folder / name
    if not path.is_file():
        raise ArtifactError(f"{folder} must hold {name}, as a model that diffusers saved does")
    if path.stat().st_size > MOST_CONFIG_BYTES:
        raise ArtifactError(f"{path} must have at most {MOST_CONFIG_BYTES} bytes")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise ArtifactError(f"{path} must hold a JSON object")
    if class_name is not None and content.get("_class_name", class_name) != class_name:
        raise ArtifactError(
            f"{path}: `_class_name` must be {class_name}. Received: {content['_class_name']!r}"
        )
    return path, content


def _tensors(folder):
    """(float32 arrays by diffusers' current names, SHA-256 of the files)."""
    tensors, digests = {}, []
    for path in _weight_files(folder):
        import safetensors

        digests.append(sha256_of(path))
        try:
            with safetensors.safe_open(path, framework="numpy") as file:
                read = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except Exception as error:  # its own, the system's, and those of types that NumPy lacks
            raise ArtifactError(
                f"{path} cannot be read as a whole safetensors file of float32 or float16: {error}"
            ) from error
        for name, value in read.items():
            if value.dtype.kind != "f":
                raise ArtifactError(
                    f"{path} must hold weights in float32 or float16. "
                    f"Received: {name} in {value.dtype}"
                )
            tensors[diffusers_network.current_name(name)] = value.astype(np.float32)
    if len(digests) > 1:
        digests = [hashlib.sha256("".join(digests).encode()).hexdigest()]
    return tensors, digests[0]


def _weight_files(folder):
    """The files of weights: one, or the parts that an index lists."""
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    names = _listed_parts(folder)
    if names:
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            raise ArtifactError(f"{folder} must hold {missing[0]}, which {WEIGHTS_INDEX} lists")
        return [folder / name for name in names]
    others = sorted(folder.glob("*.safetensors"))
    if len(others) == 1:  # a variant, most often
        return others
    pickles = [*folder.glob("*.bin"), *folder.glob("*.pt*"), *folder.glob("*.ckpt")]
    why = ""
    if pickles:
        why = (
            f". {sorted(pickles)[0].name} is a pickle, which runs code when it is opened: it was "
            "not. Save the model by `save_pretrained(..., safe_serialization=True)`"
        )
    raise ArtifactError(f"{folder} must hold {WEIGHTS}{why}")


def _listed_parts(folder):
    """The names of the files of weights that an index lists, in order; none without an index."""
    if not (folder / WEIGHTS_INDEX).is_file():
        return []
    path, content = _config(folder, WEIGHTS_INDEX)
    parts = content.get("weight_map")
    names = set(parts.values()) if isinstance(parts, dict) else set()
    if not names or not all(isinstance(name, str) and PART.fullmatch(name) for name in names):
        raise ArtifactError(f"{path} must have a `weight_map` of file names beside it")
    return sorted(names)


def _card(folder):
    if not (folder / CARD).is_file():
        return None
    path, _ = _config(folder, CARD)
    try:
        return DenoiserCard.from_json(path.read_text(encoding="utf-8"))
    except CardError as error:
        raise ArtifactError(f"{path} cannot be used: {error}") from error
