"""Pretrained models by name: `kdiffusion sample digits`, wherever an exported file could be given.

A pretrained model is a folder with the network as ONNX, to sample from, its weights, to train on
from, and a model card. They are in `pretrained/`, and in an installed package.
"""

import importlib
import os
from pathlib import Path

from kdiffusion.tables import check_name

_PACKAGE = Path(__file__).parents[1]
FOLDERS = (_PACKAGE / "pretrained", _PACKAGE.parent / "pretrained")  # installed, in a checkout
# The scheme of a URL ► the module whose `downloaded(url, files)` gives the file.
DOWNLOADS = {
    "hf": "kdiffusion.parts.hub.download",
}
ARTIFACTS = ("denoiser_float16.onnx", "denoiser_int8.onnx")  # a model has one of them
WEIGHTS = "denoiser_float16.safetensors"


def is_url(place: str | os.PathLike) -> bool:
    """Whether a place is a URL, and no path of this machine."""
    return "://" in os.fspath(place)


def released_models() -> dict[str, Path]:
    """Names of the models that are there: `{name: Path of its file}`."""
    return {
        path.parent.name: path
        for folder in reversed(FOLDERS)
        for path in sorted(folder.glob("*/*.onnx"))
        if path.name in ARTIFACTS
    }


def existing(path: str | os.PathLike, weights: bool = False) -> Path:
    """The path that a user's word stands for.

    `digits` is always the pretrained model; `./digits` is a file or folder of that name.
    `hf://owner/name` is a model on the Hub.

    Args:
        path: str or Path, as it was given.
        weights: bool. Of a model by name, its file of weights, not the one to sample from.

    Returns:
        Path: of a pretrained model's file, of a downloaded one, else the path as it is.

    Raises:
        FileNotFoundError: nothing is there.
    """
    models, found = released_models(), Path(path)
    if is_url(path):
        url = os.fspath(path)
        part = DOWNLOADS[check_name("scheme", url.partition("://")[0], DOWNLOADS)]
        files = ("denoiser.safetensors",) if weights else None
        found = importlib.import_module(part).downloaded(url, files)
    elif str(path) in models:
        file = models[str(path)]
        found = file.with_name(WEIGHTS) if weights else file
    elif str(found) in models:
        found = found.absolute()  # or who resolves it again would take `./digits` for the model
    if not found.exists():
        raise FileNotFoundError(
            f"{found} does not exist. The pretrained models are {', '.join(models)}. "
            "`python -m kdiffusion export RUN_DIR` exports a run"
        )
    return found
