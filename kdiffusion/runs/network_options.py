"""The network of the weights that a run starts from, as settings of the run."""

from __future__ import annotations

import dataclasses
import json
from fractions import Fraction
from typing import TYPE_CHECKING

from kdiffusion.runs.config import PARENT, Config, ModelConfig

if TYPE_CHECKING:
    from kdiffusion.runs.initial_weights import InitialWeights

# What the data set decides, and what a run that starts from another chooses for itself.
NOT_THE_PARENTS = ("image_shape", "num_classes", "dropout")


def with_network_of(
    config: Config, parent: InitialWeights | None, image_shape: tuple[int, int, int]
) -> Config:
    """The configuration with the network of the weights that the run starts from.

    Args:
        config: `Config`, whose network may be "parent".
        parent: `InitialWeights`, or None.
        image_shape: `(height, width, channels)` of the run's images. Self-attention stays at the
            levels of the network where the parent has it, whatever their maps' heights are here.

    Returns:
        A `Config` whose own settings and options make that network.

    Raises:
        ValueError: the parent doesn't say what network it is.
    """
    if config.model.network != PARENT:
        return config
    if parent is None or parent.network is None or parent.network_class is None:
        raise ValueError(
            "`model.network` parent needs `run.init_from` to be a run or an exported file, which "
            f"say what their network is made of. Received: {config.run.init_from}"
        )
    known = {field.name for field in dataclasses.fields(ModelConfig)}
    arguments = {
        name: value
        for name, value in parent.network.items()
        if name not in NOT_THE_PARENTS and value is not None
    }
    if "attention_resolutions" in arguments:
        arguments["attention_resolutions"] = _at_the_same_levels(parent.network, image_shape[0])
    options = tuple(
        f"{name}={json.dumps(value)}"
        for name, value in sorted(arguments.items())
        if name not in known
    )
    model = ModelConfig(
        network=parent.network_class,
        network_options=options,
        dropout=config.model.dropout,
        dtype_policy=config.model.dtype_policy,
        **{name: value for name, value in arguments.items() if name in known},
    )
    return dataclasses.replace(config, model=model)


def _at_the_same_levels(network, height):
    """The heights of the maps with attention, for images of another height than the network's."""
    own = network["image_shape"][0]
    # Each level halves the maps: what one is of the image's height, it is of any.
    heights = (Fraction(each * height, own) for each in network["attention_resolutions"])
    return tuple(int(each) for each in heights if each.denominator == 1)
