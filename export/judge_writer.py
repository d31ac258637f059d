"""A trained judge into one ONNX file: weights in float16, a card that says how well it reads."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from kdiffusion.artifacts import ArtifactError
from kdiffusion.evaluation.judge import (
    CARD_KEY,
    INPUT,
    OUTPUTS,
    JudgeCard,
    load_judge,
    seal_judge,
)
from kdiffusion.files import staged
from kdiffusion.onnx_session import open_session, run_in_batches

if TYPE_CHECKING:
    import keras
    import onnx

    from kdiffusion.data.image_dataset import ImageDataset

GRAIN_LEVELS = 10  # the card tells how well images with so much grain are read
TOLERANCE = (
    0.05  # of a logit, whose spread is some units: what rounding every weight to 11 bits does
)
COMPARED_IMAGES = 32


def write_judge(
    network: keras.Model,
    dataset: ImageDataset,
    path: str | os.PathLike,
    how_made: str,
    *,
    both_sides: bool,
    overwrite: bool = False,
    progress: bool = True,
) -> JudgeCard:
    """Writes a judge, once it has read the held-out images of its data set.

    Args:
        network: keras.Model, from `kdiffusion.evaluation.judge_training.fitting.train_judge`.
        dataset: ImageDataset that it was trained on.
        path: path of the ONNX file to make.
        how_made: str. What its card says of that.
        both_sides: bool. Whether it reads the mirror image as well, at twice the time.
        overwrite: bool. Whether `path` may be replaced. Defaults to `False`.
        progress: bool. Whether to show bars.

    Returns:
        JudgeCard.

    Raises:
        FileExistsError: `path` exists and `overwrite` is False.
        ArtifactError: the file does not compute what the network computes.
    """
    import onnx

    from kdiffusion.evaluation.judge_training.network import reading_network

    reading = reading_network(network, both_sides)
    model = convert_judge(reading)
    with staged(path, overwrite) as temporary:
        onnx.save(model, temporary)
        session = open_session(temporary, ArtifactError)
        _check_deviation(reading, session, dataset.validation_images[:COMPARED_IMAGES])
        card = JudgeCard(
            class_names=dataset.class_names,
            image_shape=dataset.image_shape,
            dataset=dataset.name,
            accuracy=_accuracy(session, dataset, progress),
            how_made=how_made,
        )
        onnx.helper.set_model_props(model, {CARD_KEY: card.to_json()})
        onnx.save(model, temporary)
        seal_judge(temporary)
        return load_judge(temporary).card


def convert_judge(reading: keras.Model) -> onnx.ModelProto:
    """Converts a judge by tf2onnx.

    Args:
        reading: keras.Model, from `reading_network`.

    Returns:
        onnx.ModelProto, its large weights in float16, without a card.
    """
    import onnx
    import tensorflow as tf
    import tf2onnx

    from .onnx_float16 import with_float16_weights
    from .onnx_graph import simplify
    from .onnx_writer import OPSET

    signature = [tf.TensorSpec((None, *reading.input_shape[1:]), tf.float32, name=INPUT)]

    @tf.function(input_signature=signature)
    def read(image):
        outputs = reading(image, training=False)
        return {name: outputs[name] for name in OUTPUTS}

    model, _ = tf2onnx.convert.from_function(read, signature, opset=OPSET)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    model = with_float16_weights(simplify(model))
    onnx.checker.check_model(model, full_check=True)
    return model


def grainy_images(images: np.ndarray, levels: float = GRAIN_LEVELS, seed: int = 0) -> np.ndarray:
    """uint8 images with independent normal noise of so many levels, rounded and cut to 0 .. 255."""
    noise = np.random.default_rng(seed).standard_normal(images.shape, np.float32)
    return np.clip(np.rint(images + levels * noise), 0, 255).astype(np.uint8)


def _accuracy(session, dataset, progress):
    """Shares of the held-out images that are read right: as they are, and with grain."""
    images, labels = dataset.validation_images, dataset.validation_labels
    kinds = {"clean": images, f"grain {GRAIN_LEVELS}": grainy_images(images)}
    return {
        kind: float(np.mean(_read(session, these, kind, progress)[0].argmax(axis=1) == labels))
        for kind, these in kinds.items()
    }


def _read(session, images, kind="", progress=False):
    def run(batch):
        return session.run(list(OUTPUTS), {INPUT: batch.astype(np.float32)})

    return run_in_batches(run, images, f"Reading held-out images, {kind}", progress)


def _check_deviation(reading, session, images):
    logits, _ = _read(session, images)
    expected = np.asarray(reading(images.astype(np.float32), training=False)["logits"])
    deviation = float(np.abs(logits - expected).max())
    if not deviation <= TOLERANCE:  # not `>`: a NaN must not pass
        raise ArtifactError(
            f"The judge's file must agree with its network to {TOLERANCE:g}. "
            f"Received: a largest deviation of {deviation:g}; the file was not kept"
        )
