"""What a file of weights says of its network: a class of this package and its arguments."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

# A file may be a stranger's: it names a row, never a class to import. The names are those of
# `kdiffusion.runs.choices.NETWORKS` too.
NETWORK_CLASSES = {
    "unet": "kdiffusion.networks.unet:UNet",
    "unet2d": "kdiffusion.networks.unet2d:UNet2D",
}


def is_described(network: keras.Model) -> bool:
    """Whether a network is of one of the classes, so that a file can say what it is."""
    return _home(network) in NETWORK_CLASSES.values()


def describe(network: keras.Model) -> tuple[str, dict[str, Any]]:
    """(row of `NETWORK_CLASSES`, arguments) of a network, as plain data.

    Raises:
        ValueError: a network of another class.
    """
    for name, each in NETWORK_CLASSES.items():
        if each == _home(network):
            config = network.get_config()
            return name, {key: config[key] for key in sorted(config.keys() - {"name", "dtype"})}
    raise ValueError(
        f"`network` must be of a class in {list(NETWORK_CLASSES.values())} for its weights to be "
        f"kept in a file. Received: {_home(network)}"
    )


def _home(network):
    return f"{type(network).__module__}:{type(network).__name__}"


def build(name: str, arguments: Mapping[str, Any]) -> keras.Model:
    """The network of a description, in float32, with new weights."""
    module, _, cls = NETWORK_CLASSES[name].partition(":")
    return getattr(importlib.import_module(module), cls)(**arguments, dtype="float32")
