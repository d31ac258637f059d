"""Opens a file of weights: to go on training from, or as a Denoiser, which needs Keras.

The weights lie in the format of safetensors under the names of `named_weights`; in its metadata are
the card and the arguments of the network's class. No code is in such a file, and none is run.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from . import network_description
from .denoiser import ArtifactError, card_from_text, import_runtime, opened
from .seal import check_seal
from .stored_weights import StoredWeights, build, stored_weights

if TYPE_CHECKING:
    from kdiffusion.artifacts.denoiser import LoadedDenoiser

ARTIFACT = "denoiser.safetensors"
# One entry, JSON of the three: safetensors writes several in an order of chance.
METADATA_KEY = "kdiffusion"
# NETWORK_CLASS is there where it is another than DEFAULT.
CARD, NETWORK, NETWORK_CLASS, SEAL = "card", "network", "network_class", "seal"


def recognises(path: Path) -> bool:
    """Whether `path` looks like a file of weights: its name ends in .safetensors."""
    return path.is_file() and path.suffix == ".safetensors"


def file_at(path: str | os.PathLike) -> Path | None:
    """The file of weights that a path is, or that a folder which `import` wrote holds; or None."""
    path = Path(path)
    # A run's folder has its files in `export`, and is told by its config.json.
    if path.is_dir() and not (path / "config.json").exists():
        path = path / ARTIFACT
    return path if recognises(path) else None


def read(path: str | os.PathLike) -> StoredWeights:
    """Reads a file of weights; neither Keras nor TensorFlow is needed.

    Args:
        path: path of the file.

    Returns:
        StoredWeights.

    Raises:
        ArtifactError: a file that is damaged, has no usable card, or isn't of this project.
    """
    path = Path(path)
    safetensors = import_runtime("safetensors", path, "safetensors")
    check_seal(path)
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except Exception as error:  # its own, the system's, and those of types that NumPy lacks
        raise ArtifactError(
            f"{path} cannot be read as a whole safetensors file: {error}"
        ) from error
    facts: dict = _facts(metadata.get(METADATA_KEY), path)
    card = card_from_text(facts.get(CARD), path)
    unlike = [
        name for name, value in weights.items() if value.dtype not in (np.float16, np.float32)
    ]
    if unlike or not weights:
        raise ArtifactError(
            f"{path} must hold weights in float32 or float16. Received: {unlike[:3] or 'none'}"
        )
    network_class = facts.get(NETWORK_CLASS, network_description.DEFAULT)
    weights = {name: value.astype(np.float32) for name, value in weights.items()}
    return stored_weights(path, card, weights, network_class, facts.get(NETWORK))


def load(path: Path) -> LoadedDenoiser:
    """Opens a file of weights as a Denoiser, by building its network in Keras.

    Args:
        path: path of the file.

    Returns:
        LoadedDenoiser.

    Raises:
        ArtifactError: as `read`; weights that aren't the network's; Keras isn't installed.
    """
    path = Path(path)
    tf = import_runtime("tensorflow", path, "tensorflow")
    stored = read(path)
    network = build(stored, path)

    signature = [
        tf.TensorSpec((None, *stored.card.image_shape), tf.float32),
        tf.TensorSpec((None,), tf.int32),
        tf.TensorSpec((None,), tf.int32),
    ]

    @tf.function(input_signature=signature)
    def serve(noisy_image, timestep, label):
        inputs = {"noisy_image": noisy_image, "timestep": timestep, "label": label}
        return network(inputs, training=False)

    def predict(noisy_images, timesteps, labels):
        return serve(tf.constant(noisy_images), tf.constant(timesteps), tf.constant(labels)).numpy()

    return opened(stored.card, path, predict)


def _facts(text, path):
    if text is None:
        return {}
    try:
        facts = json.loads(text)
        if not isinstance(facts, dict) or not isinstance(facts.get(CARD), str | None):
            raise ValueError("it must be a JSON object with the text of a card")
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{path} carries metadata that cannot be read: {error}") from error
    return facts
