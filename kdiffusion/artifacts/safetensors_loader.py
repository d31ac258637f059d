"""Opens a file of weights: to train from, or as a Denoiser, which needs Keras.

The weights lie in the format of safetensors under the names of `named_weights`; in its metadata are
the card and the arguments of the network's class. No code is in such a file, and none is run.
"""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kdiffusion import networks
from kdiffusion.diffusion.card import DenoiserCard
from kdiffusion.terminal import import_tensorflow

from .integrity import ArtifactError, Opened, card_from_text, check_seal

if TYPE_CHECKING:
    import keras

ARTIFACT = "denoiser.safetensors"
# One entry, JSON of the four: safetensors writes several in an order of chance.
METADATA_KEY = "kdiffusion"
CARD_ENTRY, NETWORK_CLASS, NETWORK, SEAL = "card", "network_class", "network", "seal"


@dataclasses.dataclass(frozen=True)
class StoredWeights:
    """What a file of weights holds.

    Attributes:
        card: DenoiserCard.
        weights: dict from name, as in `named_weights`, to float32 array.
        network_class: str. A row of `NETWORKS`.
        network: dict. The arguments of the network's class.
    """

    card: DenoiserCard
    weights: dict[str, np.ndarray]
    network_class: str
    network: dict[str, Any]


def recognises(path: Path) -> bool:
    """Whether `path` looks like a file of weights: its name ends in .safetensors."""
    return path.is_file() and path.suffix == ".safetensors"


def file_at(path: str | os.PathLike) -> Path | None:
    """The file of weights that a path is, or that a folder of exported files holds; or None."""
    path = Path(path)
    path = path / ARTIFACT if path.is_dir() else path
    return path if recognises(path) else None


def read(path: Path) -> StoredWeights:
    """Reads a file of weights; neither Keras nor TensorFlow is needed.

    Raises:
        ArtifactError: a damaged file, or no usable card.
    """
    import safetensors

    check_seal(path)
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            facts = json.loads((file.metadata() or {}).get(METADATA_KEY, "{}"))
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise ArtifactError(f"{path} cannot be read as a whole file: {error}") from error
    card = card_from_text(facts.get(CARD_ENTRY), path)
    weights = {name: value.astype(np.float32) for name, value in weights.items()}
    return StoredWeights(card, weights, facts[NETWORK_CLASS], facts[NETWORK])


def build(stored: StoredWeights) -> keras.Model:
    """The network of a file, in float32, with its weights.

    Raises:
        ArtifactError: other weights than those of the network.
    """
    network = networks.build(stored.network_class, stored.network)
    variables = networks.named_weights(network)
    differing = variables.keys() ^ stored.weights.keys()
    if differing:
        raise ArtifactError(f"A file must hold the weights of its network. Received: {differing}")
    for name, variable in variables.items():
        variable.assign(stored.weights[name])
    return network


def load(path: Path, trust: bool = False) -> Opened:
    """Opens a file of weights by building its network in Keras.

    Raises:
        ArtifactError: as `read` and `build`.
    """
    tf = import_tensorflow()
    stored = read(path)
    network = build(stored)
    inputs = {each.name: tf.TensorSpec(each.shape, each.dtype) for each in network.inputs}
    serve = tf.function(lambda arrays: network(arrays, training=False), input_signature=[inputs])
    return (lambda **arrays: serve(arrays).numpy()), stored.card
