"""Released models by name: `kdiffusion sample digits`, wherever an exported file could be given.

A released model is a folder with the network as ONNX, which a run can start from as well, and a
model card. A checkout has all of them in `pretrained/`; an installed package has the small ones.
"""

from __future__ import annotations

import os
from pathlib import Path

from . import hub

_PACKAGE = Path(__file__).parents[1]
FOLDERS = (_PACKAGE / "pretrained", _PACKAGE.parent / "pretrained")  # installed, in a checkout
ARTIFACT = "denoiser_float16.onnx"


def released_models() -> dict[str, Path]:
    """Names of the models that are there: `{name: Path of its folder}`."""
    return {
        path.parent.name: path.parent
        for folder in reversed(FOLDERS)
        for path in sorted(folder.glob(f"*/{ARTIFACT}"))
    }


def resolved(path: str | os.PathLike) -> Path:
    """The path that a user's word stands for.

    `digits` is always the released model; `./digits` is a file or folder of that name.
    `hf://owner/name` is a model on the Hub.

    Args:
        path: str or Path, as it was given.

    Returns:
        Path. That of a released model's file where the word is its name, of the downloaded file
        where it is on the Hub, else the path as it is.

    Raises:
        ArtifactError: as `hub.downloaded`.
    """
    if hub.is_on_hub(path):
        return hub.downloaded(path)
    folder = released_models().get(str(path))
    return Path(path) if folder is None else folder / ARTIFACT
