"""A trained judge into one ONNX file: weights in float16, and how well it reads in its metadata."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import tensorflow as tf

from kdiffusion.atomic_files import staged
from kdiffusion.export.onnx_float16 import with_float16_weights
from kdiffusion.export.onnx_writer import to_onnx
from kdiffusion.parts.evaluation.judge import CARD_KEY, INPUT, OUTPUTS, load_judge

from .network import reading_network

if TYPE_CHECKING:
    import keras

    from kdiffusion.data import ImageDataset

GRAIN_LEVELS = 10  # how well images with so much grain are read is part of the card


def write_judge(
    network: keras.Model,
    dataset: ImageDataset,
    path: str | os.PathLike,
    how_made: str,
    *,
    both_sides: bool,
    overwrite: bool = False,
) -> dict[str, float]:
    """Writes a judge, and with it how well it reads the held-out images of its data set.

    Args:
        network: keras.Model, from `train_judge`.
        dataset: ImageDataset that it was trained on.
        path: path of the ONNX file to make.
        how_made: str. What its card says of that.
        both_sides: bool. Whether it reads the mirror image as well, at twice the time.
        overwrite: bool. Whether `path` may be replaced. Defaults to `False`.

    Returns:
        dict from a kind of held-out image to the share, 0 .. 1, of them that it reads right.
    """
    model = convert_judge(reading_network(network, both_sides))
    card: dict[str, Any] = {
        "class_names": dataset.class_names,
        "image_shape": dataset.image_shape,
        "dataset": dataset.name,
        "how_made": how_made,
    }
    with staged(path, overwrite) as temporary:
        _save(model, {**card, "accuracy": {}}, temporary)
        card["accuracy"] = _accuracy(load_judge(temporary), dataset)
        _save(model, card, temporary)
    return card["accuracy"]


def _save(model, card, path):
    onnx.helper.set_model_props(model, {CARD_KEY: json.dumps(card)})
    onnx.save(model, path)


def convert_judge(reading: keras.Model) -> onnx.ModelProto:
    """Converts a judge by tf2onnx, its large weights into float16.

    Args:
        reading: keras.Model, from `reading_network`.
    """
    signature = [tf.TensorSpec((None, *reading.input_shape[1:]), tf.float32, name=INPUT)]

    @tf.function(input_signature=signature)
    def read(image):
        outputs = reading(image, training=False)
        return {name: outputs[name] for name in OUTPUTS}

    model = with_float16_weights(to_onnx(read))
    onnx.checker.check_model(model, full_check=True)
    return model


def _accuracy(judge, dataset):
    """Shares of the held-out images that the file reads right: as they are, and with grain."""
    images, labels = dataset.validation_images, dataset.validation_labels
    grain = GRAIN_LEVELS * np.random.default_rng(0).standard_normal(images.shape, np.float32)
    grainy = np.clip(np.rint(images + grain), 0, 255).astype(np.uint8)
    kinds = {"clean": images, f"grain {GRAIN_LEVELS}": grainy}
    return {
        kind: float(np.mean(judge.read(these)[0].argmax(axis=1) == labels))
        for kind, these in kinds.items()
    }
