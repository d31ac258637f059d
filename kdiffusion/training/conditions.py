"""A network's conditions as tensors: which it has, what a batch says of them, and none of them."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from kdiffusion.diffusion.conditions import nulls
from kdiffusion.images import to_model_range

DTYPES = {"label": tf.int32, "numbers": tf.float32, "image": tf.float32}
# What a network says of its inputs, as attributes; the last two may be missing.
ATTRIBUTES = ("image_shape", "num_classes", "numbers", "image_channels")


def condition_shapes(network: keras.Model) -> dict[str, tuple[int, ...]]:
    """The conditions that a network has: of each the shape of one example.

    Args:
        network: keras.Model with `image_shape`, and, where it is conditioned on more than a label,
            `numbers` (their names) and `image_channels`, as `UNet` has them.
    """
    shapes: dict[str, tuple[int, ...]] = {"label": ()}
    if numbers := getattr(network, "numbers", ()):
        shapes["numbers"] = (len(numbers),)
    if channels := getattr(network, "image_channels", 0):
        shapes["image"] = (*network.image_shape[:2], channels)
    return shapes


def signature(network: keras.Model) -> list[tf.TensorSpec]:
    """The inputs of a network in order, for batches of any size."""
    return [
        tf.TensorSpec([None, *network.image_shape], tf.float32, "noisy_image"),
        tf.TensorSpec([None], tf.int32, "timestep"),
        *(
            tf.TensorSpec([None, *shape], DTYPES[name], name)
            for name, shape in condition_shapes(network).items()
        ),
    ]


def call_once(network: keras.Model) -> Any:
    """The prediction `[1, H, W, C]` for one grey image; a network that was not built is, then."""
    specs = signature(network)
    inputs = {each.name: tf.zeros([1, *each.shape[1:]], each.dtype) for each in specs}
    return network(inputs, training=False)


def rebuilt(network: keras.Model, config: dict[str, Any]) -> keras.Model:
    """A copy of a network, with its weights, from a config: its own, or one that differs."""
    copy = type(network).from_config(config)
    for name in ATTRIBUTES:  # a graph of layers forgets them
        if hasattr(network, name) and not hasattr(copy, name):
            setattr(copy, name, getattr(network, name))
    if not copy.built:  # a subclass, whose layers are built by its first call
        call_once(copy)
    copy.set_weights(network.get_weights())
    return copy


def conditions_of(given: Any, network: keras.Model, count: Any) -> dict[str, tf.Tensor]:
    """What a batch says of a network's conditions, in its types and shapes.

    Args:
        given: labels `[B]` or `[B, 1]`, or a dict with `label`, `numbers` (`[B, K]`, or a dict from
            their names to `[B]`) and `image` (`[B, H, W, C']`, float in [-1, 1] or uint8).
        network: keras.Model.
        count: int, B.

    Returns:
        dict of tensors `[B, ...]`, in the order of the network's inputs. Without classes the label
        is 0, and may be left out.
    """
    given = dict(given) if isinstance(given, Mapping) else {"label": given}
    if network.num_classes == 0:
        given.setdefault("label", tf.zeros([count], tf.int32))
    if "image" in given and (image := tf.convert_to_tensor(given["image"])).dtype == tf.uint8:
        given["image"] = to_model_range(tf.cast(image, tf.float32))
    if isinstance(numbers := given.get("numbers"), Mapping):
        columns = [tf.reshape(tf.cast(numbers[n], tf.float32), [count]) for n in network.numbers]
        given["numbers"] = tf.stack(columns, axis=1)
    return {
        name: tf.ensure_shape(
            tf.reshape(tf.cast(given[name], DTYPES[name]), [count, *shape]), (None, *shape)
        )
        for name, shape in condition_shapes(network).items()
    }


def without(conditions: dict[str, tf.Tensor], dropped: Any, num_classes: int) -> dict[str, Any]:
    """Conditions of which none is left where `dropped`.

    Args:
        conditions: dict of tensors `[B, ...]`, as from `conditions_of`.
        dropped: bool `[B]`, or True for all.
        num_classes: int.
    """
    empty = nulls(int(num_classes))
    return {
        name: tf.where(
            tf.reshape(dropped, [-1] + [1] * (value.shape.rank - 1)),
            tf.cast(empty[name], value.dtype),
            value,
        )
        for name, value in conditions.items()
    }
