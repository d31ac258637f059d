"""Opens the ONNX file of a denoiser by ONNX Runtime alone; the card is in its metadata."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from kdiffusion.onnx_session import open_session

from .denoiser import ArtifactError, LoadedDenoiser, card_from_text
from .seal import check_seal
from .self_check import SELF_CHECK_KEY, check_runtime

if TYPE_CHECKING:
    import numpy as np

    from kdiffusion.diffusion.card import DenoiserCard

ARTIFACT = "denoiser.onnx"
CARD_KEY = "kdiffusion.card"
SEAL_KEY = "kdiffusion.seal"


def recognises(path: Path) -> bool:
    """Whether `path` looks like an ONNX file: its name ends in .onnx."""
    return path.is_file() and path.suffix == ".onnx"


def load(path: Path, trust: bool = False) -> LoadedDenoiser:
    """Opens an ONNX file by ONNX Runtime alone.

    Raises:
        ArtifactError: a damaged file, no usable card, or a runtime that predicts other numbers
            than the file says.
    """
    run, card = open_graph(path)

    def predict(noisy_images, timesteps, labels):
        return run(noisy_image=noisy_images, timestep=timesteps, label=labels)

    return LoadedDenoiser(card, Path(path), predict)


def open_graph(path: Path) -> tuple[Callable[..., np.ndarray], DenoiserCard]:
    """(function of arrays by the names of the graph's inputs, card) of an ONNX file of ours.

    Raises:
        ArtifactError: as `load`.
    """
    import onnxruntime

    path = Path(path)
    check_seal(path)
    session = open_session(path, ArtifactError)
    metadata = session.get_modelmeta().custom_metadata_map
    card = card_from_text(metadata.get(CARD_KEY), path)
    quiet = onnxruntime.RunOptions()
    quiet.log_severity_level = 4  # an error is raised; it isn't printed as well

    def run(**arrays):
        return session.run(None, arrays, quiet)[0]

    check_runtime(metadata.get(SELF_CHECK_KEY), run, card, path)
    return run, card
