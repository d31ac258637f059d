"""The trained model as what samples: its averaged network on NumPy arrays, and its card."""

from typing import Any

import keras
import tensorflow as tf

from kdiffusion.diffusion.card import ConditionImage, DenoiserCard, Number
from kdiffusion.diffusion.denoiser import OUTPUT_NAME, NetworkDenoiser, by_name
from kdiffusion.training.conditions import condition_shapes, signature


def prediction_function(network: keras.Model) -> Any:
    """A network as the graph function that is sampled and exported.

    Make it once for a network: TensorFlow never frees what it has traced.

    Args:
        network: keras.Model on a dictionary of the contract's inputs.

    Returns:
        tf.function from those inputs, in order and of any batch size, to a dictionary with
        `prediction`.
    """
    specs = signature(network)

    @tf.function(input_signature=specs)
    def predict(*arrays):
        inputs = {spec.name: array for spec, array in zip(specs, arrays, strict=True)}
        return {OUTPUT_NAME: network(inputs, training=False)}  # training=False: no dropout

    return predict


def numpy_denoiser(card: DenoiserCard, predict: Any) -> NetworkDenoiser:
    """A `prediction_function` as a Denoiser on NumPy arrays."""
    specs = predict.input_signature

    def run(**arrays):
        return predict(*(arrays[spec.name] for spec in specs))[OUTPUT_NAME].numpy()

    return NetworkDenoiser(card, by_name(run))


def model_card(model: keras.Model, **facts: Any) -> DenoiserCard:
    """A `DiffusionModel`'s card; `facts` are fields that the model doesn't know itself."""
    num_classes = int(model.network.num_classes)
    numbers = getattr(model.network, "numbers", {})
    image = condition_shapes(model.network).get("image")
    defaults = {
        "image_shape": model.network.image_shape,
        "class_names": tuple(str(label) for label in range(num_classes)),
        "null_label": num_classes,
        "prediction_type": model.prediction_type,
        "alphas_cumprod": tuple(model.schedule.alphas_cumprod.tolist()),
        "numbers": tuple(
            Number(name=name, mean=mean, std=std) for name, (mean, std) in numbers.items()
        )
        or None,
        "image": image and ConditionImage(channels=image[-1], meaning="an image"),
        "dataset": "unknown",
        "preset": "none",
        "images_seen": int(model.step.numpy()) * model.batch_size,
        "ema_decay": model.ema_decay,
        # The best of SAMPLERS at 20 evaluations: docs/results/sampling.md.
        "sampler": "unipc",
        "steps": min(20, model.schedule.num_timesteps),
        # Guidance leans on predictions without a label, which are learnt by dropping labels.
        "guidance_strength": 1.0 if model.objective.learns_null_label else 0.0,
    }
    return DenoiserCard(**{**defaults, **facts})
