"""Opening: an exported file ► a Denoiser or a sampler, in the runtime that its format needs.

Importing this package imports no runtime: TensorFlow, ONNX Runtime and the others are imported by
the functions that need them.
"""

import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np

from kdiffusion.diffusion.card import DenoiserCard
from kdiffusion.diffusion.conditions import SAMPLER_INPUTS, check_labels
from kdiffusion.diffusion.denoiser import NetworkDenoiser, by_name

from . import litert_loader, onnx_loader, safetensors_loader, saved_model_loader
from .integrity import ArtifactError
from .released import existing

# Each has ARTIFACT, the name of the exported file or folder; recognises(path), whether a path looks
# like one; and load(path, trust), which gives an `Opened`. A format whose files are programs
# refuses those that aren't trusted.
LOADERS: dict[str, ModuleType] = {
    "onnx": onnx_loader,
    "saved_model": saved_model_loader,
    "litert": litert_loader,
    "safetensors": safetensors_loader,
}
# Of a folder of exported files, or of a run: the first that is there.
OPENED = (
    "denoiser.onnx", "export/denoiser.onnx", "denoiser.safetensors",
    "denoiser_float16.onnx", "denoiser_int8.onnx",
)  # fmt: skip


def is_artifact(path: str | os.PathLike) -> bool:
    """Whether `path` is an exported file, of any format, or a folder that holds one of `OPENED`."""
    return _loader_of(_within(Path(path))) is not None


def load_denoiser(path: str | os.PathLike, trust: bool = False) -> NetworkDenoiser:
    """Opens an exported file in the runtime that its format needs.

    Args:
        path: path of an exported file or folder, in any of `LOADERS`; a run's folder, whose
            `export/denoiser.onnx` is opened, or that `export` folder; the name of a pretrained
            model, such as `"digits"`; or a model on the Hugging Face Hub, as `"hf://owner/name"`,
            `"hf://owner/name@revision"` or `"hf://owner/name@revision/file"`.
        trust: bool. Whether to open a SavedModel, which can run any code. Defaults to `False`.

    Returns:
        NetworkDenoiser: a callable on NumPy arrays, with its `.card`.

    Raises:
        FileNotFoundError: nothing at `path`.
        ArtifactError: a format that is not known, a damaged file, no usable card, or a SavedModel
            that isn't trusted; what is on the Hub can't be downloaded.
    """
    path = _within(existing(path))
    loader = _loader_of(path)
    if loader is None:
        known = ", ".join(loader.ARTIFACT for loader in LOADERS.values())
        raise ArtifactError(
            f"{path} is neither an exported file ({known}) nor a folder with a denoiser.onnx. "
            "`kdiffusion export RUN_DIR` writes these"
        )
    run, card = loader.load(path, trust)
    return NetworkDenoiser(card, by_name(run), path)


def load_sampler(
    path: str | os.PathLike, trust: bool = False
) -> tuple[Callable[[np.ndarray, np.ndarray, float], np.ndarray], DenoiserCard]:
    """Opens an exported whole sampler, with ONNX Runtime, or TensorFlow for a SavedModel.

    Args:
        path: path of the file or the folder.
        trust: bool. Whether to open a SavedModel, which can run any code. Defaults to `False`.

    Returns:
        (callable, DenoiserCard): `sample(noise, labels, guidance_strength)`, from float32
        `[B, H, W, C]`, int32 `[B]` and a float to float32 images `[B, H, W, C]`, with more
        conditions by their names, `numbers` and `image`; and the card.

    Raises:
        ArtifactError: a damaged file, no usable card, or a SavedModel that isn't trusted.
    """
    path = Path(path)
    loader = saved_model_loader if saved_model_loader.recognises(path) else onnx_loader
    run, card = loader.load(path, trust)

    def sample(noise, labels, guidance_strength, **more):
        noise = np.asarray(noise, np.float32)
        # Checked here: on a GPU the graph itself samples from anything.
        labels = check_labels(card, labels, len(noise))
        strength = np.asarray(guidance_strength, np.float32)
        more = {SAMPLER_INPUTS[name]: np.asarray(more[name], np.float32) for name in more}
        return run(noise=noise, label=labels, guidance_strength=strength, **more)

    return sample, card


def _within(path):
    """The file to open of a run's folder, or of one of exported files; else the path as it is."""
    if path.is_dir() and _loader_of(path) is None:
        return next((path / name for name in OPENED if (path / name).is_file()), path)
    return path


def _loader_of(path):
    return next((each for each in LOADERS.values() if each.recognises(path)), None)
