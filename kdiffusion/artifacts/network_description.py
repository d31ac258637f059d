"""What a file of weights says of its network: a class and its arguments, before anything is built.

A description is read from a file that may be a stranger's. It is refused if it asks for several
times more than the weights beside it could fill.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

DEFAULT = "unet"  # of files from before there was another


@dataclass(frozen=True)
class NetworkClass:
    """A row of `NETWORK_CLASSES`.

    Args:
        home: str. "module:class".
        fields: set of str. The arguments that decide which weights there are.
        lists: those of them that are lists of whole numbers.
        needs: function from the arguments to counts of numbers that the weights of such a network
            have at least.
        levels: str. Which of the lists has one number a level.
    """

    home: str
    fields: frozenset[str]
    lists: tuple[str, ...]
    needs: Callable[[dict], list[int]]
    levels: str


def _unet_needs(network):
    base, multipliers = whole(network["base_channels"]), network["channel_multipliers"]
    return [
        9 * network["blocks_per_level"] * sum((base * each) ** 2 for each in multipliers),
        whole(network["embedding_channels"]) ** 2,
        whole(network["num_classes"]) * base,
        whole(network["patch_size"]) ** 2,
        whole(network["attention_heads"]),
    ]


def _unet2d_needs(network):
    widths = network["widths"]
    if not widths:
        raise ValueError("it must have at least one width")
    condition = network["embedding_channels"]
    condition = 4 * widths[0] if condition is None else whole(condition)
    return [
        9 * network["blocks_per_level"] * sum(width**2 for width in widths),
        condition**2,
        whole(network["num_classes"]) * condition,
    ]


# The row's name is also that of the network in `kdiffusion.runs.choices.NETWORKS`.
NETWORK_CLASSES = {
    "unet": NetworkClass(
        "kdiffusion.networks.unet:UNet",
        frozenset({
            "image_shape", "num_classes", "base_channels", "channel_multipliers",
            "blocks_per_level", "attention_resolutions", "attention_heads", "embedding_channels",
            "dropout", "scale_shift", "patch_size",
        }),
        ("image_shape", "channel_multipliers", "attention_resolutions"),
        _unet_needs,
        "channel_multipliers",
    ),
    "unet2d": NetworkClass(
        "kdiffusion.networks.unet2d:UNet2D",
        frozenset({
            "image_shape", "num_classes", "widths", "blocks_per_level", "down_attention",
            "up_attention", "middle_attention", "head_channels", "norm_groups", "norm_epsilon",
            "middle_norm_groups", "symmetric_padding", "cosine_first", "frequency_shift",
            "embedding_channels", "dropout", "scale_shift",
        }),
        ("image_shape", "widths"),
        _unet2d_needs,
        "widths",
    ),
}  # fmt: skip


def describe(network: keras.Model) -> tuple[str, dict[str, Any]]:
    """(row of `NETWORK_CLASSES`, arguments) of a network, as plain data.

    Args:
        network: keras.Model of one of the classes.

    Raises:
        ValueError: a network of another class.
    """
    config = network.get_config()
    for name, row in NETWORK_CLASSES.items():
        if row.home == f"{type(network).__module__}:{type(network).__name__}":
            return name, {field: config[field] for field in sorted(row.fields)}
    known = ", ".join(row.home.rpartition(":")[2] for row in NETWORK_CLASSES.values())
    raise ValueError(
        f"`network` must be one of {known}, for its weights to be kept by name. "
        f"Received: {type(network).__name__}"
    )


def checked(name: str, network: Any, held: int, names: int) -> dict[str, Any]:
    """The arguments of a network, once it is known that its weights could be those of the file.

    Args:
        name: str. A row of `NETWORK_CLASSES`.
        network: dict.
        held: int. Numbers that the weights of the file have.
        names: int. Weights that the file names.

    Raises:
        TypeError, ValueError: what can't be such a network.
    """
    if name not in NETWORK_CLASSES:
        raise ValueError(
            f"its class must be one of {', '.join(NETWORK_CLASSES)}. Received: {name!r}"
        )
    row = NETWORK_CLASSES[name]
    if set(network) != row.fields:
        raise ValueError(f"it must have the fields {', '.join(sorted(row.fields))}")
    network = dict(network)
    for field in row.lists:
        network[field] = tuple(map(whole, network[field]))
    blocks = whole(network["blocks_per_level"]) * len(network[row.levels])
    if blocks > names:
        raise ValueError(f"it has {blocks} blocks, and the file names {names} weights")
    needs = max(row.needs(network))
    if needs > held:
        raise ValueError(f"it needs {needs} weights, and the file holds {held}")
    return network


def build(name: str, network: Mapping[str, Any]) -> keras.Model:
    """The network of a description, in float32, with new weights.

    Args:
        name: str. A row of `NETWORK_CLASSES`.
        network: dict, as of `checked`.

    Raises:
        TypeError, ValueError: arguments that the class refuses.
    """
    module, _, cls = NETWORK_CLASSES[name].home.partition(":")
    return getattr(importlib.import_module(module), cls)(**network, dtype="float32")


def whole(value: Any) -> int:
    """A whole number, 1 or more; ValueError for any other value."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"it must have whole numbers, 1 or more. Received: {value!r}")
    return value
