"""Opening: an exported file ► a Denoiser, in the runtime that its format needs.

Importing this package imports no runtime: TensorFlow, ONNX Runtime and the others are imported by
the functions that need them.
"""

from __future__ import annotations

import os
from pathlib import Path

from . import litert_loader, onnx_loader, openvino_loader, safetensors_loader, saved_model_loader
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

# One file per format. Each has ARTIFACT, the name of what is exported, recognises(path) and
# load(path) -> LoadedDenoiser.
LOADERS = {
    "onnx": onnx_loader,
    "saved_model": saved_model_loader,
    "openvino": openvino_loader,
    "litert": litert_loader,
    "safetensors": safetensors_loader,
}


def is_artifact(path: str | os.PathLike) -> bool:
    """Whether `path` looks like an exported file, of any format."""
    return any(loader.recognises(Path(path)) for loader in LOADERS.values())


def load_denoiser(path: str | os.PathLike) -> LoadedDenoiser:
    """Opens an exported file in the runtime that its format needs.

    Args:
        path: path of an exported file or folder, in any of `LOADERS`; the name of a released
            model, such as `"digits"`; a model on the Hugging Face Hub, as `"hf://owner/name"`,
            `"hf://owner/name@revision"` or `"hf://owner/name@revision/file"`; or the URL of one in
            an object store, as `"s3://bucket/denoiser.onnx"`.

    Returns:
        LoadedDenoiser: a callable on NumPy arrays, with its `.card`.

    Raises:
        FileNotFoundError: nothing at `path`.
        ArtifactError: a format that is not known, a damaged file, or no usable card; what is on
            the Hub can't be downloaded.
    """
    path = existing(path)
    for loader in LOADERS.values():
        if loader.recognises(path):
            return loader.load(path)
    if (path / "config.json").is_file():
        raise ArtifactError(
            f"{path} is no exported file. If it is the folder of a run, draw with "
            f"{path / 'export' / onnx_loader.ARTIFACT}; `python -m kdiffusion export {path}` "
            "makes that file"
        )
    known = ", ".join(loader.ARTIFACT for loader in LOADERS.values())
    inside = [loader.ARTIFACT for loader in LOADERS.values() if (path / loader.ARTIFACT).exists()]
    hint = f". It holds {', '.join(inside)}: give the path of one" if inside else ""
    raise ArtifactError(
        f"{path} is none of the formats that can be read, which look like: {known}{hint}"
    )
