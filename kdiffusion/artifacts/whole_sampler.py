"""Opens a whole sampler, loop and all, that `export/whole_sampler` wrote: noise to images."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kdiffusion.diffusion.arguments import check_labels
from kdiffusion.diffusion.guidance import check_strength

from . import saved_model_loader
from .denoiser import ArtifactError
from .onnx_loader import open_graph

if TYPE_CHECKING:
    from kdiffusion.diffusion.card import DenoiserCard

INPUT_NAMES = ("noise", "label", "guidance_strength")
OUTPUT_NAME = "image"


def load_sampler(
    path: str | os.PathLike,
) -> tuple[Callable[[np.ndarray, np.ndarray, float], np.ndarray], DenoiserCard]:
    """Opens a sampler by ONNX Runtime, or by TensorFlow alone if it is a SavedModel.

    Args:
        path: path of the file or the folder.

    Returns:
        (callable, DenoiserCard): `draw(noise, labels, guidance_strength)`, from float32
        `[B, H, W, C]`, int32 `[B]` and a float to float32 images `[B, H, W, C]`; and the card.

    Raises:
        ArtifactError: a file that is damaged, has no usable card, or has other inputs.
    """
    path = Path(path)
    if saved_model_loader.recognises(path):
        run, card = saved_model_loader.open_signature(path, INPUT_NAMES, OUTPUT_NAME)
    else:
        run, card = open_graph(path, INPUT_NAMES, OUTPUT_NAME, _one_image)
        _check_knows_last_label(run, card, path)

    def draw(noise, labels, guidance_strength):
        inputs = graph_inputs(card, noise, labels, guidance_strength)
        return run(**dict(zip(INPUT_NAMES, inputs, strict=True)))

    return draw, card


def _check_knows_last_label(run, card, path):
    """Refuses a card of more classes than the graph, by drawing one image."""
    try:
        run(**dict(zip(INPUT_NAMES, _one_image(card, card.null_label), strict=True)))
    except Exception as error:  # the runtime's errors share no base class
        raise ArtifactError(
            f"{path} carries the card of another network: its graph draws nothing for the card's "
            f"null_label={card.null_label}: {error}"
        ) from error


def _one_image(card, label):
    noise = np.zeros((1, *card.image_shape), np.float32)
    return noise, np.array([label], np.int32), np.array(0, np.float32)


def graph_inputs(
    card: DenoiserCard, noise: np.ndarray, labels: np.ndarray, guidance_strength: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a sampler's graph is handed, checked: the graph itself draws something of anything.

    Args:
        card: DenoiserCard.
        noise: array `[B, H, W, C]`.
        labels: classes `[B]`, by number or name, or one for all.
        guidance_strength: float, at least -1 and finite in float32.

    Returns:
        (float32 `[B, H, W, C]`, int32 `[B]`, float32 scalar), in the order of the graph's inputs.

    Raises:
        ValueError: what `kdiffusion.sample` refuses too.
    """
    try:
        noise = np.asarray(noise, np.float32)
    except (TypeError, ValueError) as error:  # such as a list of images of several sizes
        raise ValueError(f"`noise` must make one array of numbers: {error}") from error
    if noise.shape[1:] != card.image_shape or not np.all(np.isfinite(noise)):
        raise ValueError(
            f"`noise` must be finite numbers of the shape {('B', *card.image_shape)}. "
            f"Received: shape {noise.shape}"
        )
    labels = check_labels(card, labels, len(noise))
    return noise, labels, np.asarray(check_strength(guidance_strength), np.float32)
