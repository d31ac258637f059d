"""The table of networks, and what a file of weights says of one: class, arguments, weights.

The networks and their layers are in Keras alone: no
file here imports TensorFlow, and this one imports Keras only where there is a network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

# Classes that `train` makes and a file of weights names. A file may be a stranger's: it names a
# row, never a class to import.
NETWORKS = {
    "unet": "kdiffusion.networks.unet:UNet",
    "unet2d": "kdiffusion.parts.diffusers.unet2d:UNet2D",
}
# The table that a label chooses a row from: one row per class, then that of no class.
LABEL_TABLE = "condition/embed_label/embeddings"


def is_described(network: keras.Model) -> bool:
    """Whether a network is of one of the classes, so that a file can say what it is."""
    return _home(network) in NETWORKS.values()


def describe(network: keras.Model) -> tuple[str, dict[str, Any]]:
    """(row of `NETWORKS`, arguments) of a network, as plain data.

    Raises:
        ValueError: a network of another class.
    """
    for name, each in NETWORKS.items():
        if each == _home(network):
            config = network.get_config()
            return name, {key: config[key] for key in sorted(config.keys() - {"name", "dtype"})}
    raise ValueError(
        f"`network` must be of a class in {list(NETWORKS.values())} for its weights to be "
        f"kept in a file. Received: {_home(network)}"
    )


def _home(network):
    return f"{type(network).__module__}:{type(network).__name__}"


def build(name: str, arguments: Mapping[str, Any]) -> keras.Model:
    """The network of a description, in float32, with new weights."""
    return resolve_name(NETWORKS[name])(**arguments, dtype="float32")


def named_weights(network: keras.Model) -> dict[str, keras.Variable]:
    """The variables of a network by their paths, such as `down_0_block_0/residual/norm_in/scale`.

    Layers have names of their own here: Keras's automatic ones count what a process made.
    """
    return {variable.path: variable for variable in network.weights}


def layers_in(parent: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    """All layers in a layer, at any depth."""
    import keras

    within = parent.layers if isinstance(parent, keras.Model) else vars(parent).values()
    for layer in within:
        if isinstance(layer, keras.layers.Layer):
            yield layer
            yield from layers_in(layer)
