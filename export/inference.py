"""The network as it is exported: float32, inference mode, under the contract's names."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from kdiffusion.artifacts.denoiser import ArtifactError
from kdiffusion.diffusion.denoiser import OUTPUT_NAME

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

# By the class of a layer, the form of it that makes the smaller and faster graph.
FORMS = {"SelfAttention2D": "folded", "Upsample": "transposed"}
# What stands for half precision in a layer's config: dtypes, and policies.
HALVES = {"float16", "bfloat16", "mixed_float16", "mixed_bfloat16"}


def inference_network(network: keras.Model) -> keras.Model:
    """Rebuilds a network with the same weights, all in float32 and in the layers' `FORMS`.

    A network trained in mixed precision keeps float32 weights but casts to bfloat16 on the way;
    one trained under a `tf.distribute` strategy holds variables of that strategy. The copy does
    neither.

    Args:
        network: keras.Model whose class takes `dtype`, such as `UNet`, or which is made of layers.

    Returns:
        keras.Model of the same class. Its layers are named by their place in it, not by Keras's
        counters of the process, so that the same weights give the same files.

    Raises:
        ArtifactError: a layer that computes in another precision, whatever its config says.
    """
    # Keras counts its automatic names by thread, and a new one begins at nothing: the variables are
    # named alike in any process.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_rebuilt, network).result()


def _rebuilt(network):
    from kdiffusion.networks.forms import choose_forms

    # `dtype` is for a class that takes it. Of a model made of layers, each has its own.
    named = {"dtype": "float32", "name": type(network).__name__.lower()}
    float32_network = type(network).from_config({**_in_float32(network.get_config()), **named})
    _check_float32(float32_network)
    float32_network.set_weights(network.get_weights())
    choose_forms(float32_network, FORMS)
    for layer in float32_network.layers:
        _name_parts(layer)
    return float32_network


def _in_float32(config: Any) -> Any:
    """A config with float32 in place of half precision, at any depth."""
    if isinstance(config, dict):
        return {key: _in_float32(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return type(config)(map(_in_float32, config))
    return "float32" if isinstance(config, str) and config in HALVES else config


def _check_float32(network):
    import keras

    for layer in network._flatten_layers():
        dtype = layer.compute_dtype
        if keras.backend.is_float_dtype(dtype) and dtype != "float32":
            raise ArtifactError(
                "`network` must be of layers that compute in float32 once their config says so. "
                f"Received: {layer.name}, which computes in {dtype}"
            )


def _name_parts(layer):
    from keras.layers import Layer

    for attribute, part in vars(layer).items():
        if isinstance(part, Layer):
            part.name = attribute.lstrip("_")
            _name_parts(part)


def serving_function(
    network: keras.Model, image_shape: tuple[int, int, int]
) -> tuple[Callable, list[tf.TensorSpec]]:
    """Wraps a network as the graph function that all formats are converted from.

    Args:
        network: keras.Model on a dictionary of the contract's inputs.
        image_shape: (height, width, channels).

    Returns:
        (tf.function, list of tf.TensorSpec): from noisy_image, timestep, label of any batch size to
        a dictionary with `prediction`; and its input signature.
    """
    import tensorflow as tf

    signature = [
        tf.TensorSpec((None, *image_shape), tf.float32, name="noisy_image"),
        tf.TensorSpec((None,), tf.int32, name="timestep"),
        tf.TensorSpec((None,), tf.int32, name="label"),
    ]

    @tf.function(input_signature=signature)
    def serve(noisy_image, timestep, label):
        inputs = {"noisy_image": noisy_image, "timestep": timestep, "label": label}
        return {OUTPUT_NAME: network(inputs, training=False)}  # training=False: no dropout

    return serve, signature
