"""Opens a whole sampler, loop and all, that `export/whole_sampler` wrote: noise to images."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kdiffusion.diffusion.sampling_plan import check_labels

from . import onnx_loader, saved_model_loader

if TYPE_CHECKING:
    from kdiffusion.diffusion.card import DenoiserCard

OUTPUT_NAME = "image"


def load_sampler(
    path: str | os.PathLike, trust: bool = False
) -> tuple[Callable[[np.ndarray, np.ndarray, float], np.ndarray], DenoiserCard]:
    """Opens an exported whole sampler, with ONNX Runtime, or TensorFlow for a SavedModel.

    Args:
        path: path of the file or the folder.
        trust: bool. Whether to open a SavedModel, which can run any code. Defaults to `False`.

    Returns:
        (callable, DenoiserCard): `sample(noise, labels, guidance_strength)`, from float32
        `[B, H, W, C]`, int32 `[B]` and a float to float32 images `[B, H, W, C]`; and the card.

    Raises:
        ArtifactError: a damaged file, no usable card, or a SavedModel that isn't trusted.
    """
    path = Path(path)
    if saved_model_loader.recognises(path):
        run, card = saved_model_loader.open_signature(path, trust)
    else:
        run, card = onnx_loader.open_graph(path)

    def sample(noise, labels, guidance_strength):
        noise = np.asarray(noise, np.float32)
        # Checked here: on a GPU the graph itself samples from anything.
        labels = check_labels(card, labels, len(noise))
        strength = np.asarray(guidance_strength, np.float32)
        return run(noise=noise, label=labels, guidance_strength=strength)

    return sample, card
