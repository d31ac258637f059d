"""What a file that weights can be taken from holds, whatever its format."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from kdiffusion.diffusion.card import DenoiserCard

from . import network_description
from .denoiser import ArtifactError

if TYPE_CHECKING:
    import keras


@dataclasses.dataclass(frozen=True)
class StoredWeights:
    """Weights, and the network that they are of.

    Attributes:
        card: DenoiserCard.
        weights: dict from name, as of `named_weights`, to float32 array.
        network_class: str. A row of `NETWORK_CLASSES`; None where the file doesn't say.
        network: dict. The arguments of the network's class; None where the file doesn't say.
    """

    card: DenoiserCard
    weights: dict[str, np.ndarray]
    network_class: str | None = None
    network: dict[str, Any] | None = None


def stored_weights(
    path: str | os.PathLike,
    card: DenoiserCard,
    weights: dict[str, np.ndarray],
    network_class: Any,
    network: Any,
) -> StoredWeights:
    """What a file holds, once its network is known to be the card's and one of such weights.

    Args:
        path: path. The file, for the error.
        card, weights: as of `StoredWeights`.
        network_class, network: what the file says of its network.

    Raises:
        ArtifactError: no network of ours, or not that of the card.
    """
    # By where its numbers lie: one constant of a graph may be many weights.
    held = sum({value.ctypes.data: value.size for value in weights.values()}.values())
    try:
        network = network_description.checked(network_class, network, held, len(weights))
    except (TypeError, ValueError) as error:
        raise ArtifactError(f"{path} does not say what network it is of: {error}") from error
    described = network["image_shape"], network["num_classes"]
    if described != (card.image_shape, card.null_label):
        raise ArtifactError(
            f"{path} carries the card of another network: its `image_shape` and classes must be "
            f"{described}. Received: {card.image_shape}, {card.null_label}"
        )
    return StoredWeights(card, weights, network_class, network)


def build(stored: StoredWeights, path: str | os.PathLike) -> keras.Model:
    """The network of a file, in float32, with its weights.

    Args:
        stored: StoredWeights.
        path: path. The file, for the error.

    Raises:
        ArtifactError: the file doesn't say what network it is of, or its weights aren't those of
            the network.
    """
    from kdiffusion.networks.weights import named_weights

    if stored.network_class is None or stored.network is None:
        raise ArtifactError(
            f"{path} holds weights, and doesn't say of what network: it was exported by an earlier "
            "version, or its network is of a class of its own"
        )
    try:
        network = network_description.build(stored.network_class, stored.network)
    except (TypeError, ValueError) as error:
        raise ArtifactError(f"{path} describes a network that cannot be: {error}") from error
    variables = named_weights(network)
    shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
    found = {name: value.shape for name, value in stored.weights.items()}
    if shapes != found:
        differing = sorted(
            name for name in {*shapes, *found} if shapes.get(name) != found.get(name)
        )
        raise ArtifactError(
            f"{path} must hold the weights of its network, {len(shapes)} of them. "
            f"Received: others for {', '.join(differing[:3])}"
        )
    for name, variable in variables.items():
        variable.assign(stored.weights[name])
    return network
