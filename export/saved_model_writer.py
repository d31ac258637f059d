"""SavedModel, for TensorFlow Serving and TensorFlow: a folder, the card in `assets.extra/`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from kdiffusion.artifacts.integrity import UNSEALED
from kdiffusion.artifacts.saved_model_loader import CARD_PATH, SEAL_PATH, SIGNATURE

from .source import ExportSource


def write(source: ExportSource, path: Path) -> None:
    """Writes a network as a SavedModel with one signature, `serving_default`."""
    write_signature(source, source.predict, path)


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
