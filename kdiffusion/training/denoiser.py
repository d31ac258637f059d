"""The trained model as what samples: its averaged network on NumPy arrays, and its card."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from kdiffusion.diffusion.card import DenoiserCard
from kdiffusion.diffusion.denoiser import OUTPUT_NAME, NetworkDenoiser


def prediction_function(network: keras.Model, image_shape: tuple[int, int, int]) -> Any:
    """A network as the graph function that is sampled and exported.

    Make it once for a network: TensorFlow never frees what it has traced.

    Args:
        network: keras.Model on a dictionary of the contract's inputs.
        image_shape: (height, width, channels).

    Returns:
        tf.function from noisy_image, timestep, label of any batch size to a dictionary with
        `prediction`.
    """
    signature = [
        tf.TensorSpec([None, *image_shape], tf.float32, "noisy_image"),
        tf.TensorSpec([None], tf.int32, "timestep"),
        tf.TensorSpec([None], tf.int32, "label"),
    ]

    @tf.function(input_signature=signature)
    def predict(noisy_image, timestep, label):
        inputs = {"noisy_image": noisy_image, "timestep": timestep, "label": label}
        return {OUTPUT_NAME: network(inputs, training=False)}  # training=False: no dropout

    return predict


def numpy_denoiser(
    card: DenoiserCard, predict: Callable[..., dict[str, tf.Tensor]]
) -> NetworkDenoiser:
    """A `prediction_function` as a Denoiser on NumPy arrays."""

    def network(noisy_images, timesteps, labels):
        return predict(
            tf.constant(noisy_images, tf.float32),
            tf.constant(timesteps, tf.int32),
            tf.constant(labels, tf.int32),
        )[OUTPUT_NAME].numpy()

    return NetworkDenoiser(card, network)


def model_card(model: keras.Model, **facts: Any) -> DenoiserCard:
    """A `DiffusionModel`'s card; `facts` are fields that the model doesn't know itself."""
    num_classes = int(model.network.num_classes)
    defaults = {
        "image_shape": model.network.image_shape,
        "class_names": tuple(str(label) for label in range(num_classes)),
        "null_label": num_classes,
        "prediction_type": model.prediction_type,
        "alphas_cumprod": tuple(model.schedule.alphas_cumprod.tolist()),
        "dataset": "unknown",
        "preset": "none",
        "images_seen": 0,
        "ema_decay": model.ema_decay,
        # The best of SAMPLERS at 20 evaluations: docs/results/sampling.md.
        "sampler": "unipc",
        "steps": min(20, model.schedule.num_timesteps),
        # Guidance leans on predictions without a label, which are learnt by dropping labels.
        "guidance_strength": 1.0 if model.objective.learns_null_label else 0.0,
    }
    return DenoiserCard(**{**defaults, **facts})
