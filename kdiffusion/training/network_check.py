"""What a network must be to be trained as a denoiser: `UNet`, or a Keras model of one's own."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kdiffusion.checks import check_whole
from kdiffusion.diffusion.denoiser import INPUT_NAMES


def check_network(network: Any) -> None:
    """Refuses what can't be trained as a denoiser; gives a network that lacks weights its weights.

    Args:
        network: keras.Model with the inputs `noisy_image` `[B, H, W, C]`, `timestep` and `label`
            `[B]`, one output `[B, H, W, C]`, `image_shape` and `num_classes`. These two are brought
            to Python's numbers. A subclass whose layers are not built yet is called once, which
            builds them.

    Raises:
        ValueError: a model without these, or that holds its weights in another type than float32.
    """
    missing = [name for name in ("image_shape", "num_classes") if not hasattr(network, name)]
    if missing or not isinstance(network, keras.Model):
        lacking = f" without `{'` and `'.join(missing)}`" if missing else ""
        raise ValueError(
            "`network` must be a `UNet`, or a Keras model with its inputs, `image_shape` and "
            f"`num_classes`. Received: {type(network).__name__}{lacking}"
        )
    # Of a network that is no graph of layers, only a call can tell.
    names = sorted(each.name for each in getattr(network, "inputs", None) or ())
    if names and names != sorted(INPUT_NAMES):
        raise ValueError(
            f"`network` must have the inputs {', '.join(INPUT_NAMES)}. Received: {', '.join(names)}"
        )
    _to_python_numbers(network)
    _check_output(network.outputs if names else call_once(network, network.image_shape), network)
    held = {str(weight.dtype) for weight in network.trainable_variables} - {"float32"}
    if held:
        raise ValueError(
            "`network` must hold its weights in float32, as it does under the policies float32, "
            f"mixed_bfloat16 and mixed_float16. Received: {', '.join(sorted(held))}"
        )


def call_once(network: keras.Model, image_shape: tuple[int, int, int]) -> Any:
    """The prediction `[1, H, W, C]` for one grey image; a network that was not built is, then.

    Args:
        network: keras.Model, as of `check_network`.
        image_shape: (height, width, channels).
    """
    return network(
        {
            "noisy_image": np.zeros((1, *image_shape), "float32"),
            "timestep": np.zeros(1, "int32"),
            "label": np.zeros(1, "int32"),
        },
        training=False,
    )


def _to_python_numbers(network):
    # `labels.max() + 1` is NumPy's int64, whose type TensorFlow would not mix with its labels'.
    image_shape = tuple(check_whole("network.image_shape", each) for each in network.image_shape)
    num_classes = check_whole("network.num_classes", network.num_classes)
    if type(network.num_classes) is not int:
        network.num_classes = num_classes
    if any(type(each) is not int for each in network.image_shape):
        network.image_shape = image_shape


def _check_output(output, network):
    outputs = output if isinstance(output, list | tuple) else [output]
    shapes = [tuple(getattr(each, "shape", ())) for each in outputs]
    wanted = (None, *network.image_shape)
    if len(shapes) != 1 or not tf.TensorShape(shapes[0]).is_compatible_with(wanted):
        received = ", ".join(str([None, *shape[1:]]).replace("None", "B") for shape in shapes)
        raise ValueError(
            "`network` must have one output in the shape of its images, "
            f"[B, {', '.join(map(str, network.image_shape))}]. Received: {received}"
        )
