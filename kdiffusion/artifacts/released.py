"""Released models by name: `kdiffusion sample digits`, wherever an exported file could be given.

A released model is a folder with the network as ONNX, in 16 or in 8 bits, and a model card. They
are in `pretrained/`, and in an installed package.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from kdiffusion.object_store import downloaded, is_url

from . import hub

_PACKAGE = Path(__file__).parents[1]
FOLDERS = (_PACKAGE / "pretrained", _PACKAGE.parent / "pretrained")  # installed, in a checkout
ARTIFACTS = ("denoiser_float16.onnx", "denoiser_int8.onnx")  # a model has one of them


def released_models() -> dict[str, Path]:
    """Names of the models that are there: `{name: Path of its file}`."""
    return {
        path.parent.name: path
        for folder in reversed(FOLDERS)
        for path in sorted(folder.glob("*/*.onnx"))
        if path.name in ARTIFACTS
    }


def resolved(
    path: str | os.PathLike, wanted: Callable[[Iterable[str]], Iterable[str]] = tuple
) -> Path:
    """The path that a user's word stands for.

    `digits` is always the released model; `./digits` is a file or folder of that name.
    `hf://owner/name` is a model on the Hub, and other URLs are in an object store.

    Args:
        path: str or Path, as it was given.
        wanted: as of `kdiffusion.object_store.downloaded`.

    Returns:
        Path. That of a released model's file where the word is its name, of what was downloaded
        where it is on the Hub or in a store, else the path as it is.

    Raises:
        ArtifactError: as `hub.downloaded`.
        ValueError, OSError: as `kdiffusion.object_store.downloaded`.
    """
    if is_url(path):
        return downloaded(path, wanted)
    if hub.is_on_hub(path):
        return hub.downloaded(path)
    models, plain = released_models(), Path(path)
    if str(path) in models:
        return models[str(path)]
    # Of `./digits` the whole path, or who resolves it again would take it for the model.
    return plain.absolute() if str(plain) in models else plain


def existing(
    path: str | os.PathLike, wanted: Callable[[Iterable[str]], Iterable[str]] = tuple
) -> Path:
    """`resolved`, of what must be there.

    Raises:
        FileNotFoundError: it isn't.
        ArtifactError, ValueError, OSError: as `resolved`.
    """
    path = resolved(path, wanted)
    if not path.exists():
        raise FileNotFoundError(
            f"There is no model {path}: no such file, and none of the released models, "
            f"{', '.join(released_models())}. `python -m kdiffusion export RUN_DIR` exports a run"
        )
    return path
