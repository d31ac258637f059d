"""Opening: an exported file ► a Denoiser, in the runtime that its format needs.

Importing this package imports no runtime: TensorFlow, ONNX Runtime and the others are imported by
the functions that need them.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

from . import litert_loader, onnx_loader, safetensors_loader, saved_model_loader
from .denoiser import ArtifactError, LoadedDenoiser
from .released import existing, released_models

__all__ = [
    "LOADERS",
    "ArtifactError",
    "LoadedDenoiser",
    "is_artifact",
    "load_denoiser",
    "released_models",
]


# Each has ARTIFACT, the name of the exported file or folder; recognises(path), whether a path looks
# like one; and load(path, trust), which gives a LoadedDenoiser. A format whose files are programs
# refuses those that aren't trusted.
LOADERS: dict[str, ModuleType] = {
    "onnx": onnx_loader,
    "saved_model": saved_model_loader,
    "litert": litert_loader,
    "safetensors": safetensors_loader,
}
# Of a folder of exported files, or of a run: the first that is there.
OPENED = ("denoiser.onnx", "export/denoiser.onnx", "denoiser.safetensors")


def is_artifact(path: str | os.PathLike) -> bool:
    """Whether `path` is an exported file, of any format, or a folder that holds one of `OPENED`."""
    return _loader_of(_within(Path(path))) is not None


def load_denoiser(path: str | os.PathLike, trust: bool = False) -> LoadedDenoiser:
    """Opens an exported file in the runtime that its format needs.

    Args:
        path: path of an exported file or folder, in any of `LOADERS`; a run's folder, whose
            `export/denoiser.onnx` is opened, or that `export` folder; the name of a pretrained
            model, such as `"digits"`; a model on the Hugging Face Hub, as `"hf://owner/name"`,
            `"hf://owner/name@revision"` or `"hf://owner/name@revision/file"`; or the URL of one in
            an object store, as `"s3://bucket/denoiser.onnx"`.
        trust: bool. Whether to open a SavedModel, which can run any code. Defaults to `False`.

    Returns:
        LoadedDenoiser: a callable on NumPy arrays, with its `.card`.

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
            f"{path} has no known format. Known are: {known}; nor a "
            "folder with a denoiser.onnx, which `kdiffusion export RUN_DIR` writes"
        )
    return loader.load(path, trust)


def _within(path):
    """The file to open of a run's folder, or of one of exported files; else the path as it is."""
    if path.is_dir() and _loader_of(path) is None:
        return next((path / name for name in OPENED if (path / name).is_file()), path)
    return path


def _loader_of(path):
    return next((each for each in LOADERS.values() if each.recognises(path)), None)
