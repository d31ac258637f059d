"""SavedModel, for TensorFlow Serving and TensorFlow: a folder, the card in `assets.extra/`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdiffusion.artifacts import saved_model_loader
from kdiffusion.artifacts.denoiser import LoadedDenoiser
from kdiffusion.artifacts.integrity import UNSEALED
from kdiffusion.artifacts.saved_model_loader import (
    ARTIFACT,
    CARD_PATH,
    PARTS,
    SEAL_PATH,
    SIGNATURE,
)
from kdiffusion.diffusion.denoiser import OUTPUT_NAME

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from kdiffusion.export.source import ExportSource

__all__ = [
    "ARTIFACT", "MARK", "PARTS", "TOLERANCE", "load", "serving_function", "write",
    "write_signature",
]  # fmt: skip

TOLERANCE = 1e-4  # from the live network, any predicted number
MARK = CARD_PATH


def load(path: Path) -> LoadedDenoiser:
    """Opens a SavedModel that was written just now, and is trusted for that."""
    return saved_model_loader.load(path, trust=True)


def write(source: ExportSource, path: Path) -> None:
    """Writes a network as a SavedModel with one signature, `serving_default`."""
    serve, _ = serving_function(source.network, source.card.image_shape)
    write_signature(source, serve, path)


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


def write_signature(source: ExportSource, serve: Callable, path: Path) -> None:
    """Writes a function of the network as a SavedModel, with the card and a place for the seal.

    Args:
        source: ExportSource. Its network's weights are those that `serve` uses.
        serve: tf.function with an input signature, or a concrete one.
        path: Path. The folder to make.
    """
    import tensorflow as tf

    module: Any = tf.Module()
    # A module, not the Keras model: the folder must load where Keras is not installed.
    module.weights = [variable.value for variable in source.network.weights]
    tf.saved_model.save(module, str(path), {SIGNATURE: serve})
    (path / CARD_PATH).parent.mkdir(exist_ok=True)
    (path / CARD_PATH).write_text(source.card.to_json(), encoding="utf-8")
    (path / SEAL_PATH).write_text(UNSEALED, encoding="utf-8")
