"""A network of the user's own: built if it wasn't, and looked at before it is trained."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np


def check_network(network: keras.Model) -> None:
    """Builds a network that isn't built yet; refuses one that would train silently wrong.

    Args:
        network: keras.Model with the inputs `noisy_image` `[B, H, W, C]`, `timestep` and `label`
            `[B]`, one output `[B, H, W, C]`, `image_shape` and `num_classes`.

    Raises:
        ValueError: a prediction in another shape, which would be broadcast; weights in another
            type than float32, in which small updates and the moving average are lost.
    """
    outputs = getattr(network, "outputs", None)
    prediction = outputs[0] if outputs else call_once(network, network.image_shape)
    if tuple(prediction.shape[1:]) != tuple(network.image_shape):
        raise ValueError(
            f"`network` must predict in the shape of its images, {network.image_shape}. "
            f"Received: {tuple(prediction.shape[1:])}"
        )
    types = {str(weight.dtype) for weight in network.trainable_variables}
    if types - {"float32"}:
        raise ValueError(f"`network` must hold its weights in float32. Received: {sorted(types)}")


def call_once(network: keras.Model, image_shape: tuple[int, int, int]) -> Any:
    """The prediction `[1, H, W, C]` for one grey image; a network that was not built is, then."""
    return network(
        {
            "noisy_image": np.zeros((1, *image_shape), "float32"),
            "timestep": np.zeros(1, "int32"),
            "label": np.zeros(1, "int32"),
        },
        training=False,
    )
