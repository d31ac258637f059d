"""A trained judge into one ONNX file: weights in float16, and how well it reads in its metadata."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import tensorflow as tf
import tf2onnx

from kdiffusion.atomic_files import staged
from kdiffusion.export.onnx_float16 import with_float16_weights
from kdiffusion.export.onnx_writer import OPSET
from kdiffusion.parts.evaluation.judge import CARD_KEY, INPUT, OUTPUTS, Judge, load_judge

from .network import reading_network

if TYPE_CHECKING:
    import keras

    from kdiffusion.data import ImageDataset

GRAIN_LEVELS = 10  # how well images with so much grain are read is part of the card
# Of a logit, whose spread is some units: what rounding every weight to 11 bits does.
TOLERANCE = 0.05
COMPARED_IMAGES = 32


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
    reading = reading_network(network, both_sides)
    model = convert_judge(reading)
    card: dict[str, Any] = {
        "class_names": dataset.class_names,
        "image_shape": dataset.image_shape,
        "dataset": dataset.name,
        "how_made": how_made,
    }
    with staged(path, overwrite) as temporary:
        judge = _saved(model, {**card, "accuracy": {}}, temporary)
        _check_deviation(reading, judge, dataset.validation_images[:COMPARED_IMAGES])
        card["accuracy"] = _accuracy(judge, dataset)
        _saved(model, card, temporary)
    return card["accuracy"]


def _saved(model, card, path) -> Judge:
    onnx.helper.set_model_props(model, {CARD_KEY: json.dumps(card)})
    onnx.save(model, path)
    return load_judge(path)


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

    model, _ = tf2onnx.convert.from_function(read, signature, opset=OPSET)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    model = with_float16_weights(model)
    onnx.checker.check_model(model, full_check=True)
    return model


def grainy_images(images: np.ndarray, levels: float = GRAIN_LEVELS, seed: int = 0) -> np.ndarray:
    """uint8 images with independent normal noise of so many levels, rounded and cut to 0 .. 255."""
    noise = np.random.default_rng(seed).standard_normal(images.shape, np.float32)
    return np.clip(np.rint(images + levels * noise), 0, 255).astype(np.uint8)


def _accuracy(judge, dataset):
    """Shares of the held-out images that are read right: as they are, and with grain."""
    images, labels = dataset.validation_images, dataset.validation_labels
    kinds = {"clean": images, f"grain {GRAIN_LEVELS}": grainy_images(images)}
    return {
        kind: float(np.mean(judge.read(these)[0].argmax(axis=1) == labels))
        for kind, these in kinds.items()
    }


def _check_deviation(reading, judge, images):
    logits, _ = judge.read(images)
    expected = np.asarray(reading(images.astype(np.float32), training=False)["logits"])
    deviation = float(np.abs(logits - expected).max())
    if not deviation <= TOLERANCE:  # not `>`: a NaN must not pass
        raise ValueError(
            f"The judge's file must agree with its network to {TOLERANCE:g}. "
            f"Received: a largest deviation of {deviation:g}; the file was not kept"
        )
